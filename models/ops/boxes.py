"""Axis-aligned boxes, x1 y1 x2 y2: overlap, suppression, clipping. numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Boxes that suppression looks at. The time grows with the square of those that are kept: 30,000 that do not overlap
# take 2 s. An input of 640x640 has 8,400 candidates, one of 1280x1280 has 33,600, of which few pass a threshold.
MOST_CANDIDATES = 30_000
_BLOCK = 64


def iou_matrix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of every pair of boxes.

    Args:
        a: (N, 4) float32.
        b: (M, 4) float32, in the same coordinates.

    Returns:
        (N, M) float32; 0 where both boxes are empty. Areas are (x2-x1)*(y2-y1), without the +1 of pixel counting.

    """
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    intersection = np.maximum(width, 0, out=width)
    intersection *= np.maximum(height, 0, out=height)
    union = (_areas(a)[:, None] + _areas(b)[None, :]) - intersection
    # The intersection of empty boxes is 0, and stays so over anything but 0.
    np.maximum(union, np.finfo(np.float32).tiny, out=union)
    iou: NDArray[np.float32] = np.divide(intersection, union, out=intersection)
    return iou


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def nms(
    boxes: NDArray[np.float32],
    iou_threshold: float,
    class_ids: NDArray[np.int64] | None = None,
    max_keep: int | None = None,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression of boxes that are sorted best first.

    A box is dropped when its IoU with a better kept box is over the threshold (strictly, as torchvision does), or when
    it is not among the first `MOST_CANDIDATES`.

    Args:
        boxes: (N, 4) float32, x1 y1 x2 y2, best score first.
        iou_threshold: 0..1.
        class_ids: (N,) int64; boxes of different classes do not suppress each other. None: all are one class.
        max_keep: Stop after so many.

    Returns:
        (K,) int64 indices of the kept boxes, ascending.

    """
    boxes = boxes[:MOST_CANDIDATES]
    limit = len(boxes) if max_keep is None else min(max_keep, len(boxes))
    kept: list[int] = []
    if limit <= 0:
        return np.array(kept, dtype=np.int64)
    alive = np.ones(len(boxes), dtype=bool)
    # Block by block: one overlap matrix per block costs far less than one call per box, and memory stays bounded.
    for start in range(0, len(boxes), _BLOCK):
        rest = start + np.flatnonzero(alive[start:])
        block = rest[: np.searchsorted(rest, start + _BLOCK)]
        spares = ~(iou_matrix(boxes[block], boxes[rest]) > iou_threshold)  # also where it is not a number
        if class_ids is not None:
            spares |= class_ids[block, None] != class_ids[None, rest]
        free = np.ones(len(rest), dtype=bool)
        for row, index in enumerate(block.tolist()):
            if free[row]:
                kept.append(index)
                if len(kept) == limit:
                    return np.array(kept, dtype=np.int64)
                free &= spares[row]
        alive[rest[~free]] = False
    return np.array(kept, dtype=np.int64)


def clip_boxes(boxes: NDArray[np.float32], width: float, height: float) -> NDArray[np.float32]:
    """Return the (N, 4) boxes clipped to [0, width] x [0, height]."""
    return np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
