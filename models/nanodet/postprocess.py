"""Turns the raw outputs of a NanoDet-Plus-m network into boxes in image pixels. numpy alone, so an app can embed it.

>>> params = PostprocessParams(score_threshold=0.4)
>>> detections = postprocess(outputs, transforms, params, labels=("person", "face", "hand"))  # doctest: +SKIP
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import ArtifactError
from ..ops.boxes import clip_boxes
from ..ops.detector import DetectorParams, choose, detect_decoded, detect_e2e, grid
from ..ops.distribution import boxes_around, expected_distances
from ..ops.scores import lowest_logit, make_detections, sigmoid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..results import Detections


class ImageTransform(NamedTuple):
    """The scaling of an image to the network input, by one ratio in each direction.

    Attributes:
        width: Width of the original image, in pixels.
        height: Height of the original image, in pixels.
        input_width: Width of the network input, in pixels.
        input_height: Height of the network input, in pixels.

    """

    width: int
    height: int
    input_width: int
    input_height: int


@dataclass(frozen=True)
class PostprocessParams(DetectorParams):
    """Parameters of the decoding of raw outputs into detections; sealed in the exported file.

    Attributes are those of `DetectorParams`, whose score is the class score, and:

    Attributes:
        prior_offset: Offset in its cell of the point that distances start from, in cells; 0 is the top-left corner.

    Thresholds are those of the original deployment (score 0.3, IoU 0.5); the rest is that of training
    (RangiLyu/nanodet, nanodet/model/head/nanodet_plus_head.py), the points too: another deployment puts them in the
    middle of the cells, which shifts every box by half a stride.

    """

    strides: tuple[int, ...] = (8, 16, 32, 64)
    score_threshold: float = 0.3
    iou_threshold: float = 0.5
    class_agnostic: bool = False
    max_detections: int = 100
    prior_offset: float = 0.0


# Every class of a point that reaches the threshold counts.
BEST_CLASS_ONLY = False
_SIDES = 4


class _Raw(NamedTuple):
    """The outputs of a batch of N, levels one after the other, row by row: P points in all.

    Attributes:
        logits: (N, C, P) float32, of the classes.
        bins: (N, 4B, P) float32, logits of the bins 0 .. B-1 of left, top, right and bottom.
        points: (3, P) float32: x and y that distances start from, and the stride they are counted in; network pixels.

    """

    logits: NDArray[np.float32]
    bins: NDArray[np.float32]
    points: NDArray[np.float32]


def output_shapes(
    params: PostprocessParams, labels: Sequence[str], input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output for one image, None for a side that is any; see `ModelSpec.output_shapes`."""
    channels = {"cls_score": len(labels), "bbox_pred": None}
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
        outputs: ``cls_score_i`` (N, C, h, w) and ``bbox_pred_i`` (N, 4B, h, w) float32 for each level i: logits of the
            classes, and of B bins for each of left, top, right and bottom.
        transforms: N image transforms, as preprocessing returned them.
        params: Strides and thresholds.
        labels: C class names.
        classes: Class ids to report; None for all.
        best: Take this many best candidates whatever their score, instead of those over the threshold.

    Returns:
        N detections, boxes in pixels of the original image, clipped to it.

    """
    raw = _flatten(outputs, params)
    return [
        _detect(raw, i, transform, params, labels, classes=classes, best=best) for i, transform in enumerate(transforms)
    ]


def _to_image(boxes: NDArray[np.float32], transform: ImageTransform) -> NDArray[np.float32]:
    """Return boxes in network pixels as boxes in pixels of the image, clipped to it."""
    width, height, input_width, input_height = transform
    ratio = np.array([width / input_width, height / input_height] * 2, dtype=np.float32)
    return clip_boxes(boxes * ratio, width, height)


# What takes the outputs of the forms of these names, see `models.forms`.
postprocess_decoded = partial(detect_decoded, to_image=_to_image, best_class_only=BEST_CLASS_ONLY)
postprocess_e2e = partial(detect_e2e, to_image=_to_image)


def _flatten(outputs: Mapping[str, NDArray[np.float32]], params: PostprocessParams) -> _Raw:
    """Put the levels one after the other."""
    levels = range(len(params.strides))
    channels = {outputs[f"bbox_pred_{level}"].shape[1] for level in levels}
    if len(channels) > 1 or min(channels) % _SIDES:
        raise ArtifactError(
            f"bbox_pred has {', '.join(map(str, sorted(channels)))} channels, not as many for each of {_SIDES} sides",
            "Export the model again.",
        )

    def join(name: str) -> NDArray[np.float32]:
        parts = [outputs[f"{name}_{level}"] for level in levels]
        # Sides by number: of a batch of none, -1 stands for any.
        return np.concatenate([part.reshape(*part.shape[:2], math.prod(part.shape[2:])) for part in parts], axis=2)

    grids = tuple(outputs[f"cls_score_{level}"].shape[2:] for level in levels)
    return _Raw(join("cls_score"), join("bbox_pred"), _points(grids, params.strides, params.prior_offset))


def _detect(
    raw: _Raw,
    index: int,
    transform: ImageTransform,
    params: PostprocessParams,
    labels: Sequence[str],
    *,
    classes: Sequence[int] | None,
    best: int | None,
) -> Detections:
    """Decode one image of the batch.

    Every class of a point is a candidate of its own, as upstream has it: one box can be a person and a hand.
    """
    logits, bins = raw.logits[index], raw.bins[index]
    threshold = params.cutoff(best)
    # In the order of the points, then of the classes. Most points have none that passes: they are left out at once.
    least = lowest_logit(threshold)
    points = np.flatnonzero(logits.max(axis=0) >= least)
    which, class_ids = np.nonzero(least <= logits[:, points].T)
    where = points[which]
    scores = sigmoid(logits[class_ids, where])
    passed = scores >= threshold
    where, class_ids, scores = where[passed], class_ids[passed], scores[passed]

    def decode(index: NDArray[np.int64]) -> NDArray[np.float32]:
        points = where[index]
        boxes = boxes_around(raw.points[:, points], expected_distances(bins[:, points]))
        return clip_boxes(boxes, transform.input_width, transform.input_height)

    kept, boxes = choose(scores, class_ids, decode, params, classes=classes, best=best)
    where, class_ids, scores = where[kept], class_ids[kept], scores[kept]
    boxes = _to_image(boxes, transform)
    return make_detections(boxes, scores, class_ids, _margins(logits[:, where], class_ids, scores), labels)


def _margins(
    logits: NDArray[np.float32], class_ids: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (n,) how far each score is from the best that another class has at the same point.

    Args:
        logits: (C, n) of every class at the points of the detections.
        class_ids: (n,) of the detections.
        scores: (n,) of the detections.

    """
    if len(logits) == 1:
        return scores
    others = logits.copy()
    others[class_ids, np.arange(len(scores))] = -np.inf
    return np.asarray(np.abs(scores - sigmoid(others.max(axis=0))), dtype=np.float32)


@lru_cache(maxsize=16)
def _points(grids: tuple[tuple[int, ...], ...], strides: tuple[int, ...], offset: float) -> NDArray[np.float32]:
    """Return (3, P) x, y and stride of each point: stride * (column + offset), stride * (row + offset)."""
    levels = []
    for (height, width), stride in zip(grids, strides, strict=True):
        rows, columns = np.divmod(np.arange(height * width), width)
        levels.append(stride * np.stack((columns + offset, rows + offset, np.ones(height * width))))
    return np.concatenate(levels, axis=1).astype(np.float32)
