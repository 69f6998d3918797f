"""The parameters and the choice of candidates that all detectors share. numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..params import Params
from .boxes import nms
from .scores import best_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray


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
