"""Derives variant, preprocessing and labels from a YOLOX checkpoint: its tensors, its configuration, the options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ...errors import WeightsError
from ..labels import choose_labels
from ..params import MOST_PIXELS_A_SIDE
from ..spec import Plan, VariantOptions
from ..weights.keys import shapes_of
from .postprocess import PostprocessParams
from .preprocess import CONVENTIONS, PreprocessParams, params_for
from .spec import SPEC, STRIDE
from .variant import Variant, infer_variant

if TYPE_CHECKING:
    from ..weights.checkpoint import Checkpoint

# Megvii, exps/default/yolox_nano.py and yolox_tiny.py train at 416, the larger ones at 640.
_SMALL_SIZE = (416, 416)
_SIZE = (640, 640)


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    config = checkpoint.config
    activation, activation_by = _activation(config, options)
    variant = infer_variant(shapes_of(checkpoint.state), activation)
    input_size, size_by = _input_size(config, variant, options)
    preprocess, preprocess_by = _preprocess(checkpoint, input_size, options)
    labels, labels_by = choose_labels(SPEC, variant.num_classes, options, _config_labels(config))
    decided_by = {
        "activation": activation_by,
        "input_size": size_by,
        "preprocess": preprocess_by,
        "labels": labels_by,
    }
    return Plan(variant, input_size, preprocess, PostprocessParams(), labels, decided_by)


def _activation(config: Mapping[str, Any], options: VariantOptions) -> tuple[str, str]:
    if options.activation:
        return options.activation, "option"
    model = _mapping(config.get("model"))
    for part in (model, _mapping(model.get("backbone")), _mapping(model.get("head"))):
        name = part.get("act")
        if name is None:
            continue
        if name not in SPEC.activations:
            known = " or ".join(SPEC.activations)
            raise WeightsError(
                f"the checkpoint's config asks for the activation {name!r}, which is not supported",
                f"Choose one on purpose: --activation {known}",
            )
        return str(name), "checkpoint config"
    return SPEC.activations[0], "model default"


def _input_size(config: Mapping[str, Any], variant: Variant, options: VariantOptions) -> tuple[tuple[int, int], str]:
    if options.input_size:
        return options.input_size, "option"
    scale = _step(config, "Resize").get("img_scale") or config.get("img_scale")
    if isinstance(scale, list) and len(scale) == 2 and all(isinstance(side, int) and side > 0 for side in scale):  # noqa: PLR2004
        # mmcv writes (width, height); these configs are square, and a side that does not fit the strides is rounded up.
        if max(scale) > MOST_PIXELS_A_SIDE:
            raise WeightsError(
                f"the checkpoint's config asks for an input with a side over {MOST_PIXELS_A_SIDE} pixels",
                "Choose a size on purpose: --input-size H,W",
            )
        width, height = (math.ceil(side / STRIDE) * STRIDE for side in scale)
        return (height, width), "checkpoint config"
    return (_SMALL_SIZE if variant.size in ("nano", "tiny") else _SIZE), "model default"


def _preprocess(
    checkpoint: Checkpoint, input_size: tuple[int, int], options: VariantOptions
) -> tuple[PreprocessParams, str]:
    if options.preprocess:
        return params_for(options.preprocess, input_size), "option"
    if _step(checkpoint.config, "Resize"):
        try:
            return _from_pipeline(checkpoint.config, input_size), "checkpoint config"
        except (ValueError, TypeError, OverflowError) as error:
            raise WeightsError(
                f"the test pipeline in the checkpoint's config makes no sense: {error}",
                f"Choose one on purpose: --preprocess {' or '.join(SPEC.conventions)}",
            ) from error
    if checkpoint.wrapper == "model":
        return params_for("megvii", input_size), "Megvii wrapping"
    if checkpoint.wrapper == "state_dict":
        return params_for("easycv", input_size), "EasyCV wrapping"
    return params_for(CONVENTIONS[0], input_size), "model default"


def _from_pipeline(config: Mapping[str, Any], input_size: tuple[int, int]) -> PreprocessParams:
    """Return EasyCV's letterbox with the numbers of the checkpoint's own test pipeline."""
    params = params_for("easycv", input_size)
    pad = _step(config, "Pad").get("pad_val")
    grey = pad[0] if isinstance(pad, list) and pad else pad
    if isinstance(grey, int | float):
        params = replace(params, pad_value=int(grey))
    normalise = _step(config, "Normalize")
    colour: Literal["rgb", "bgr"] = "rgb" if normalise.get("to_rgb", bool(normalise)) else "bgr"
    params = replace(
        params,
        colour=colour,
        mean=_three(normalise.get("mean"), (0.0, 0.0, 0.0)),
        std=_three(normalise.get("std"), (1.0, 1.0, 1.0)),
    )
    return params if params == params_for("easycv", input_size) else replace(params, convention="checkpoint")


def _three(values: object, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if not isinstance(values, list) or len(values) != len(default):
        return default
    first, second, third = (float(value) for value in values)
    return first, second, third


def _step(config: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the step of the test pipeline whose type is *kind*, with or without mmcv's or EasyCV's MM prefix."""
    dataset = _mapping(_mapping(config.get("dataset")).get("val"))
    pipeline = config.get("test_pipeline") or dataset.get("pipeline")
    pipeline = pipeline if isinstance(pipeline, list) else ()
    steps = (step for step in pipeline if isinstance(step, Mapping))
    return next((step for step in steps if step.get("type") in (kind, f"MM{kind}")), {})


def _config_labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    dataset = _mapping(_mapping(config.get("dataset")).get("val"))
    names = config.get("CLASSES") or _mapping(dataset.get("data_source")).get("classes") or ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
