"""Turns the raw outputs of a YOLOX network into boxes in image pixels. numpy alone, so an app can embed it.

>>> params = PostprocessParams(score_threshold=0.25)
>>> detections = postprocess(outputs, transforms, params, labels=("hand",))  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..ops.boxes import clip_boxes
from ..ops.detector import DetectorParams, choose, detect_decoded, detect_e2e, grid
from ..ops.scores import lowest_logit, make_detections, sigmoid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..results import Detections


class ImageTransform(NamedTuple):
    """The place of an image in the network input.

    Attributes:
        width: Width of the original image, in pixels.
        height: Height of the original image, in pixels.
        scale: Network pixels per image pixel; the image's top-left corner is the input's.

    """

    width: int
    height: int
    scale: float


@dataclass(frozen=True)
class PostprocessParams(DetectorParams):
    """Parameters of the decoding of raw outputs into detections; sealed in the exported file.

    Attributes are those of `DetectorParams`, whose score is objectness times class score, and:

    Attributes:
        activation: Function that turns logits into scores; "none" for networks that have the sigmoid inside.

    Defaults are those of the original hand deployment (score 0.3, IoU 0.65); strides are those of
    Megvii YOLOX, yolox/models/yolo_head.py.

    """

    strides: tuple[int, ...] = (8, 16, 32)
    score_threshold: float = 0.3
    iou_threshold: float = 0.65
    class_agnostic: bool = False
    max_detections: int = 1000
    activation: Literal["sigmoid", "none"] = "sigmoid"


# exp() of this many cells is a side of 4e9 pixels at stride 8.
MAX_LOG_SIDE = np.float32(20)


# A cell counts for its best class alone.
BEST_CLASS_ONLY = True


class _Candidates(NamedTuple):
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    margins: NDArray[np.float32]


def output_shapes(
    params: PostprocessParams, labels: Sequence[str], input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output for one image; see `ModelSpec.output_shapes`."""
    channels = {"cls": len(labels), "reg": 4, "obj": 1}
    return {
        f"{name}_{level}": (count, *grid(stride, input_size))
        for level, stride in enumerate(params.strides)
        for name, count in channels.items()
    }


def postprocess(
    outputs: Mapping[str, NDArray[np.float32]],
    transforms: Sequence[ImageTransform],
    params: PostprocessParams,
    labels: Sequence[str],
    *,
    classes: Sequence[int] | None = None,
    best: int | None = None,
) -> list[Detections]:
    """Decode a batch.

    Args:
        outputs: ``cls_i`` (N, C, h, w), ``reg_i`` (N, 4, h, w), ``obj_i`` (N, 1, h, w) float32 for each level i.
        transforms: N image transforms, as preprocessing returned them.
        params: Strides and thresholds.
        labels: C class names.
        classes: Class ids to report; None for all.
        best: Take this many best candidates whatever their score, instead of those over the threshold.

    Returns:
        N detections, boxes in pixels of the original image, clipped to it.

    """
    return [
        _detect(
            {name: values[i] for name, values in outputs.items()}, transform, params, labels, classes=classes, best=best
        )
        for i, transform in enumerate(transforms)
    ]


def _to_image(boxes: NDArray[np.float32], transform: ImageTransform) -> NDArray[np.float32]:
    """Return boxes in network pixels as boxes in pixels of the image, clipped to it."""
    return clip_boxes(boxes / np.float32(transform.scale), transform.width, transform.height)


# What takes the outputs of the forms of these names, see `models.forms`.
postprocess_decoded = partial(detect_decoded, to_image=_to_image, best_class_only=BEST_CLASS_ONLY)
postprocess_e2e = partial(detect_e2e, to_image=_to_image)


def _detect(
    outputs: Mapping[str, NDArray[np.float32]],
    transform: ImageTransform,
    params: PostprocessParams,
    labels: Sequence[str],
    *,
    classes: Sequence[int] | None,
    best: int | None,
) -> Detections:
    found = _decode(outputs, params, params.cutoff(best))
    kept, boxes = choose(
        found.scores, found.class_ids, lambda index: found.boxes[index], params, classes=classes, best=best
    )
    boxes = _to_image(boxes, transform)
    return make_detections(boxes, found.scores[kept], found.class_ids[kept], found.margins[kept], labels)


def _decode(outputs: Mapping[str, NDArray[np.float32]], params: PostprocessParams, threshold: float) -> _Candidates:
    """Decode the cells of all levels whose score reaches the threshold; boxes in network pixels."""
    # Few cells pass, and each numpy call costs more than they do: gather from the levels first, compute once.
    least = _logit(threshold, params.activation)
    parts = [_gather(outputs, level, least) for level in range(len(params.strides))]
    objectness, class_logits, regression, cells = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    counts = [len(part[-1]) for part in parts]
    stride = np.repeat(np.array(params.strides, dtype=np.float32), counts)
    width = np.repeat([outputs[f"obj_{level}"].shape[-1] for level in range(len(parts))], counts)
    activate = sigmoid if params.activation == "sigmoid" else np.asarray
    present = activate(objectness)
    scores = present * activate(class_logits.max(axis=0))
    keep = np.flatnonzero(scores >= threshold)
    if len(keep) < len(scores):
        present, scores, cells, stride, width = (x[keep] for x in (present, scores, cells, stride, width))
        class_logits, regression = class_logits[:, keep], regression[:, keep]
    class_ids = class_logits.argmax(axis=0)
    if len(class_logits) == 1:
        margins = scores
    else:
        margins = scores - present * activate(np.partition(class_logits, -2, axis=0)[-2])
    grid = np.stack((cells % width, cells // width)).astype(np.float32)
    return _Candidates(_decode_boxes(regression, grid, stride), scores, class_ids, margins)


def _gather(
    outputs: Mapping[str, NDArray[np.float32]], level: int, least: np.float32
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return objectness (n,), class logits (C, n), regression (4, n) and cell (n,) of the cells that may pass.

    A score is objectness times something below 1, so objectness alone rules most cells out, on the logit.
    """
    objectness = outputs[f"obj_{level}"].reshape(-1)
    logits, regression = outputs[f"cls_{level}"], outputs[f"reg_{level}"]
    cells = np.flatnonzero(objectness >= least)
    return (
        objectness[cells],
        logits.reshape(len(logits), -1)[:, cells],
        regression.reshape(4, -1)[:, cells],
        cells,
    )


def _decode_boxes(
    regression: NDArray[np.float32], grid: NDArray[np.float32], stride: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (n, 4) boxes in network pixels: centre (p + grid) * stride, size exp(p) * stride.

    Source: Megvii YOLOX, yolox/models/yolo_head.py, decode_outputs.
    """
    centre = (regression[:2] + grid) * stride
    # An untrained or damaged network may ask for boxes whose area overflows; these are larger than any image.
    half = np.exp(np.minimum(regression[2:], MAX_LOG_SIDE)) * (np.float32(0.5) * stride)
    return np.concatenate((centre - half, centre + half)).T


def _logit(probability: float, activation: str) -> np.float32:
    """Return the smallest raw value that can reach *probability*."""
    return np.float32(probability) if activation == "none" else lowest_logit(probability)
