"""Postprocessing of every model: outputs of any values, with any parameters, as an app may call it.

An input is bytes: the first ones choose the model, its parameters and its images, the others fill the outputs.
"""

from __future__ import annotations

import itertools
import json
from functools import cache
from random import Random

import numpy as np

from cvport.errors import ArtifactError, InputError
from cvport.models.landmarks68.postprocess import ImageTransform as Placed
from cvport.models.nanodet.postprocess import ImageTransform as Scaled
from cvport.models.ops.whole_image import ImageTransform as Whole
from cvport.models.registry import MODELS, get_model
from cvport.models.yolox.postprocess import ImageTransform as Letterboxed
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_bytes

_SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 17.0, -17.0, 88.0, -104.0, 1e4, -1e4, 1e30, 3.4e38, -3.4e38)
_BROKEN = (float("nan"), float("inf"), float("-inf"))
# What a byte stands for: mostly what networks give, some values at the ends of float32, few that are not finite.
_VALUES = np.array([*np.linspace(-6, 6, 237), *_SPECIAL, *_BROKEN], np.float32)
_SIZES = ((32, 32), (64, 32), (32, 96))
_LABELS = (("a",), ("a", "b"), tuple("abcde"))
_IMAGE_SIZES = ((40, 30), (1, 1), (1000, 7), (3, 20000))
_NAMES = tuple(MODELS)
_HEAD = 12


def run(data: bytes) -> None:
    """Decode a batch, and each of its rows alone."""
    head, body = data[:_HEAD].ljust(_HEAD, b"\0"), data[_HEAD:] or b"\x80"
    spec = get_model(_NAMES[head[0] % len(_NAMES)])
    size, labels = _SIZES[head[1] % len(_SIZES)], _LABELS[head[2] % len(_LABELS)]
    params = _params(spec.name, size, head)
    count = head[8] % 4
    image_sizes = [_IMAGE_SIZES[(head[9] + i) % len(_IMAGE_SIZES)] for i in range(count)]
    transforms = [_transform(spec.name, size, image_size) for image_size in image_sizes]
    outputs = _outputs(spec.output_shapes(params, labels, size), count, body)
    options = _options(head[10], head[11], len(labels)) if spec.kind == "detections" else {}
    results = spec.postprocess(outputs, transforms, params, labels, **options)
    if len(results) != count:
        raise SilentChangeError(f"{len(results)} results of {count} images")
    # The predictor refuses what is not finite, or so large that its square is not.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = all(np.isfinite(np.vdot(values, values)) for values in outputs.values())
    for i, result in enumerate(results):
        check = _CHECKS[spec.kind]
        check(result, image_sizes[i], labels, finite)
        if finite:
            json.dumps(result.to_dict(), allow_nan=False)
        single = {name: values[i : i + 1] for name, values in outputs.items()}
        (alone,) = spec.postprocess(single, transforms[i : i + 1], params, labels, **options)
        # As texts: NaN is the same as NaN.
        if finite and str(alone.to_dict()) != str(result.to_dict()):
            raise SilentChangeError(f"{result} in a batch, {alone} alone")


def _params(name: str, size: tuple[int, int], head: bytes):
    kind = get_model(name).params_types[1]
    if name == "landmarks68":
        return kind(input_size=size)
    if name in ("yolox", "nanodet"):
        thresholds = (0.0, 0.3, 0.5, 0.999, 1.0)
        chosen = {"score_threshold": thresholds[head[3] % 5], "iou_threshold": thresholds[head[4] % 5]}
        chosen |= {"class_agnostic": head[5] % 2 == 1, "max_detections": (1, 3, 1000)[head[6] % 3]}
        chosen |= {"activation": ("sigmoid", "none")[head[7] % 2]} if name == "yolox" else {}
        return kind(**chosen)
    return kind(activation=("none", "sigmoid", "softmax")[head[7] % 3])


def _options(best: int, classes: int, count: int) -> dict:
    options = {"best": (None, 1, 100)[best % 3], "classes": (None, (0,), (), (count - 1,))[classes % 4]}
    return {name: value for name, value in options.items() if value is not None}


def _transform(name: str, size: tuple[int, int], image_size: tuple[int, int]):
    height, width = image_size
    if name == "yolox":
        return Letterboxed(width, height, min(size[0] / height, size[1] / width))
    if name == "nanodet":
        return Scaled(width, height, size[1], size[0])
    if name == "landmarks68":
        box = None if height % 2 else (0.0, 0.0, float(width), float(height))
        return Placed(np.diag([width / size[1], height / size[0], 1]).astype(np.float32), box)
    return Whole(width, height)


def _outputs(shapes, count: int, body: bytes) -> dict[str, np.ndarray]:
    source = itertools.cycle(body)
    outputs = {}
    for name, sides in shapes.items():
        shape = (count, *(32 if side is None else side for side in sides))
        indices = bytes(itertools.islice(source, int(np.prod(shape))))
        outputs[name] = _VALUES[np.frombuffer(indices, np.uint8)].reshape(shape)
    return outputs


def _check_detections(result, image_size, labels, finite: bool) -> None:
    height, width = image_size
    if any(labels[number] != label for number, label in zip(result.class_ids, result.labels, strict=True)):
        raise SilentChangeError("labels are not those of the classes")
    if not finite:
        return
    boxes, scores = result.boxes, result.scores
    inside = (boxes >= 0).all() and (boxes[:, ::2] <= width).all() and (boxes[:, 1::2] <= height).all()
    if not (inside and (boxes[:, :2] <= boxes[:, 2:]).all()):
        raise SilentChangeError(f"boxes outside of {width}x{height}: {boxes}")
    if (np.diff(scores) > 0).any() or not np.isfinite(scores).all():
        raise SilentChangeError(f"scores are not the best first: {scores}")


def _check_landmarks(result, _image_size, _labels, finite: bool) -> None:
    if result.points.shape != (1, 68, 2):
        raise SilentChangeError(f"points of the shape {result.points.shape}")


def _check_classes(result, _image_size, labels, finite: bool) -> None:
    if result.labels != tuple(labels) or sorted(result.order()) != list(range(len(labels))):
        raise SilentChangeError(f"labels {result.labels}, order {result.order()}")


_CHECKS = {"detections": _check_detections, "landmarks": _check_landmarks, "classes": _check_classes}


@cache
def seeds() -> list[bytes]:
    """Each model with plain values, with few of them, and with some that are not finite."""
    rng = Random(0)
    heads = [bytes([model, *rng.randbytes(_HEAD - 1)]) for model in range(len(_NAMES)) for _ in range(4)]
    bodies = [bytes(rng.choices(range(100, 237), k=60)) for _ in range(3)] + [bytes(rng.choices(range(200, 256), k=40))]
    return [head + body for head, body in zip(heads, itertools.cycle(bodies), strict=False)]


TARGET = Target(seeds, run, mutate_bytes, (InputError.exit_code, ArtifactError.exit_code))
