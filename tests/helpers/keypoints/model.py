"""A model that finds keypoints: a few layers on a whole image of 64x64."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from cvport.models.spec import ModelSpec, Plan
from cvport.models.weights.seeding import SHIFT, Recipe, around

from .result import Keypoints

SPEC = ModelSpec(
    name="pose",
    package=__package__ or "",
    task="17 keypoints of a person",
    kind="keypoints",
    input_name="input",
    output_names=("keypoints",),
    outputs="keypoints (N,17,3), x y score in 0..1",
    sizes="64x64",
    stride=None,
    code={
        "network": ".network:PoseNetwork",
        "variant": ".model:infer_variant",
        "default_variant": ".model:DEFAULT_VARIANT",
        "recipe": ".model:RECIPE",
        "plan": ".model:plan",
        "preprocess": "cvport.models.ops.whole_image:preprocess",
        "preprocess_params": ".model:PreprocessParams",
        "postprocess": ".model:postprocess",
        "postprocess_params": ".model:PostprocessParams",
    },
)
SIDE = 64


@dataclass(frozen=True)
class Variant:
    channels: int = 16
    title: str = "pose, 17 keypoints"

    def to_dict(self):
        return asdict(self)


DEFAULT_VARIANT = Variant()
RECIPE = Recipe(ranges=((r"points\.bias", around(0.0)), (r".*\.bias", around(SHIFT))), gains=((r"points\.", 0.3),))


def infer_variant(shapes):
    return Variant(shapes["first.weight"][0])


@dataclass(frozen=True)
class PreprocessParams:
    input_size: tuple[int, int] = (SIDE, SIDE)
    colour: str = "rgb"
    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    std: tuple[float, ...] = (127.5, 127.5, 127.5)

    def __post_init__(self):
        for name in ("input_size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class PostprocessParams:
    pass


def plan(checkpoint, _options):
    variant = infer_variant({key: value.shape for key, value in checkpoint.state.items()})
    return Plan(variant, (SIDE, SIDE), PreprocessParams(), PostprocessParams(), (), {})


def postprocess(outputs, transforms, _params, _labels):
    rows = zip(outputs["keypoints"], transforms, strict=False)
    return [
        Keypoints(
            np.asarray(row[:, :2] * np.float32([transform.width, transform.height]), np.float32),
            np.ascontiguousarray(row[:, 2]),
        )
        for row, transform in rows
    ]
