"""The parameters and the choice of candidates that all detectors share. numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..params import Params
from .boxes import nms
from .scores import best_first, make_detections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..results import Detections


@dataclass(frozen=True)
class DetectorParams(Params):
    """Parameters of the decoding of raw outputs into detections; sealed in the exported file.

    Attributes:
        strides: Side of a cell in network pixels, level by level.
        score_threshold: A detection needs a score of at least this, 0..1.
        iou_threshold: IoU over which non-maximum suppression drops the worse of two boxes, 0..1.
        class_agnostic: Whether boxes of different classes suppress each other.
        max_detections: Detections that are kept at most, best first.

    """

    strides: tuple[int, ...]
    score_threshold: float
    iou_threshold: float
    class_agnostic: bool
    max_detections: int

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        super().__post_init__()
        if not (0 <= self.score_threshold <= 1 and 0 <= self.iou_threshold <= 1):
            raise ValueError(f"thresholds {self.score_threshold} and {self.iou_threshold} are not in 0..1")
        if self.max_detections < 1 or min(self.strides) < 1:
            raise ValueError(f"strides {self.strides}, at most {self.max_detections} detections")

    def cutoff(self, best: int | None) -> float:
        """Return the lowest score of a candidate: the threshold, or 0 where the *best* are taken anyway."""
        return self.score_threshold if best is None else 0.0


def grid(stride: int, input_size: tuple[int, int]) -> tuple[int, int]:
    """Return the (h, w) cells of a level: its convolutions round up where a side is no multiple of the stride."""
    return -(-input_size[0] // stride), -(-input_size[1] // stride)


def choose(
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    decode: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    params: DetectorParams,
    *,
    classes: Sequence[int] | None,
    best: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose the candidates that are reported.

    Args:
        scores: (N,) float32 of the candidates.
        class_ids: (N,) int64 of the candidates.
        decode: Returns the (n, 4) float32 boxes, x1 y1 x2 y2, of the candidates at (n,) indices.
        params: Thresholds of suppression.
        classes: Class ids to report; None for all.
        best: Take so many best candidates at most, before suppression; None for all.

    Returns:
        (K,) int64 indices of the chosen candidates, best first, and their (K, 4) boxes.

    """
    order = best_first(scores, class_ids, classes, best)
    boxes = decode(order)
    kept = nms(boxes, params.iou_threshold, None if params.class_agnostic else class_ids[order], params.max_detections)
    return order[kept], boxes[kept]


class Found(NamedTuple):
    """What a detector reports of one image, best first.

    Attributes:
        boxes: (K, 4) float32, x1 y1 x2 y2 in network pixels.
        scores: (K,) float32.
        class_ids: (K,) int64.
        margins: (K,) float32, how far each score is from the best that another class has there.

    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    margins: NDArray[np.float32]


def decoded_shapes(
    params: DetectorParams, labels: Sequence[str], input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output of the form "decoded" for one image; see `ModelSpec.output_shapes`."""
    count = sum(height * width for height, width in (grid(stride, input_size) for stride in params.strides))
    return {"boxes": (count, 4), "scores": (count, len(labels))}


def detect_decoded(
    outputs: Mapping[str, NDArray[np.float32]],
    transforms: Sequence[Any],
    params: DetectorParams,
    labels: Sequence[str],
    *,
    to_image: Callable[[NDArray[np.float32], Any], NDArray[np.float32]],
    best_class_only: bool,
    classes: Sequence[int] | None = None,
    best: int | None = None,
) -> list[Detections]:
    """Report what is in a batch of the form "decoded".

    Args:
        outputs: ``boxes`` (N, B, 4) float32, x1 y1 x2 y2 in network pixels, and ``scores`` (N, B, C) float32.
        transforms: At most N image transforms, as preprocessing returned them; rows beyond them are padding.
        params: Thresholds.
        labels: C class names.
        to_image: (boxes in network pixels, transform) -> boxes in pixels of the image, clipped to it.
        best_class_only: Whether a box counts for its best class alone, or for every class that reaches the threshold.
        classes: Class ids to report; None for all.
        best: Take this many best candidates whatever their score, instead of those over the threshold.

    Returns:
        Detections of each image.

    """
    results = []
    for boxes, scores, transform in zip(outputs["boxes"], outputs["scores"], transforms, strict=False):
        found = choose_decoded(boxes, scores, params, best_class_only=best_class_only, classes=classes, best=best)
        places = to_image(found.boxes, transform)
        results.append(make_detections(places, found.scores, found.class_ids, found.margins, labels))
    return results


def choose_decoded(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    params: DetectorParams,
    *,
    best_class_only: bool,
    classes: Sequence[int] | None,
    best: int | None,
) -> Found:
    """Choose what is reported of decoded outputs.

    Args:
        boxes: (B, 4) float32, x1 y1 x2 y2 in network pixels.
        scores: (B, C) float32.
        params: Thresholds.
        best_class_only: Whether a box counts for its best class alone, or for every class that reaches the threshold.
        classes: Class ids to report; None for all.
        best: Take so many best candidates at most, whatever their score; None for those that reach the threshold.

    """
    reaches = scores >= params.cutoff(best)
    if best_class_only:
        class_ids = scores.argmax(axis=1)
        where = np.flatnonzero(reaches[np.arange(len(scores)), class_ids])
        class_ids = class_ids[where]
    else:
        where, class_ids = np.nonzero(reaches)
    found = scores[where, class_ids]
    kept, chosen = choose(found, class_ids, lambda index: boxes[where[index]], params, classes=classes, best=best)
    where, class_ids, found = where[kept], class_ids[kept], found[kept]
    return Found(chosen, found, class_ids, _margins(scores[where], class_ids, found))


def _margins(
    scores: NDArray[np.float32], class_ids: NDArray[np.int64], found: NDArray[np.float32]
) -> NDArray[np.float32]:
    if scores.shape[1] == 1:
        return found
    others = scores.copy()
    others[np.arange(len(found)), class_ids] = -np.inf
    return np.asarray(np.abs(found - others.max(axis=1)), dtype=np.float32)


_COLUMNS = 6


def e2e_shapes(
    params: DetectorParams, _labels: Sequence[str], _input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output of the form "e2e" for one image; see `ModelSpec.output_shapes`."""
    return {"dets": (params.max_detections, _COLUMNS), "count": ()}


def detect_e2e(
    outputs: Mapping[str, NDArray[Any]],
    transforms: Sequence[Any],
    params: DetectorParams,
    labels: Sequence[str],
    *,
    to_image: Callable[[NDArray[np.float32], Any], NDArray[np.float32]],
    classes: Sequence[int] | None = None,
    best: int | None = None,
) -> list[Detections]:
    """Report what is in a batch of the form "e2e", whose suppression is done.

    Args:
        outputs: ``dets`` (N, K, 6) float32, rows of x1 y1 x2 y2 in network pixels, score, class, best first; and
            ``count`` (N) int64 of the rows that are filled.
        transforms: At most N image transforms, as preprocessing returned them; rows beyond them are padding.
        params: What of them is to be reported: the score threshold, the number.
        labels: C class names.
        to_image: (boxes in network pixels, transform) -> boxes in pixels of the image, clipped to it.
        classes: Class ids to report; None for all.
        best: So many at most, whatever their score.

    Returns:
        Detections of each image. How far a score is from that of another class is not known: margins are the scores.

    """
    results = []
    for dets, count, transform in zip(outputs["dets"], outputs["count"].tolist(), transforms, strict=False):
        rows = dets[: max(count, 0)]
        wanted = rows[:, 4] >= params.cutoff(best)
        if classes is not None:
            wanted &= np.isin(rows[:, 5].astype(np.int64), np.asarray(classes))
        rows = rows[wanted][: params.max_detections if best is None else best]
        scores, class_ids = rows[:, 4].copy(), rows[:, 5].astype(np.int64)
        results.append(make_detections(to_image(rows[:, :4], transform), scores, class_ids, scores, labels))
    return results
