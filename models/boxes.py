"""Axis-aligned boxes, x1 y1 x2 y2: overlap, suppression, clipping. numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 256


def iou_matrix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of every pair of boxes.

    Args:
        a: (N, 4) float32.
        b: (M, 4) float32, same frame.

    Returns:
        (N, M) float32; 0 where both boxes are empty. Areas are (x2-x1)*(y2-y1), without the +1 of pixel counting.

    """
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0), np.float32)


def nms(
    boxes: NDArray[np.float32],
    iou_threshold: float,
    class_ids: NDArray[np.int64] | None = None,
    max_keep: int | None = None,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression of boxes that are sorted best first.

    A box is dropped when its IoU with a better kept box is over the threshold (strictly, as torchvision does).

    Args:
        boxes: (N, 4) float32, x1 y1 x2 y2, best score first.
        iou_threshold: 0..1.
        class_ids: (N,) int64; boxes of different classes do not suppress each other. None: all are one class.
        max_keep: Stop after so many.

    Returns:
        (K,) int64 indices of the kept boxes, ascending.

    """
    limit = len(boxes) if max_keep is None else min(max_keep, len(boxes))
    kept: list[int] = []
    if limit <= 0:
        return np.array(kept, dtype=np.int64)
    alive = np.ones(len(boxes), dtype=bool)
    # Block by block: one overlap matrix a block costs far less than one call a box, and memory stays bounded.
    for start in range(0, len(boxes), _BLOCK):
        block = start + np.flatnonzero(alive[start : start + _BLOCK])
        if len(block) == 0:
            continue
        rest = block[0] + np.flatnonzero(alive[block[0] :])
        over = iou_matrix(boxes[block], boxes[rest]) > iou_threshold
        if class_ids is not None:
            over &= class_ids[block, None] == class_ids[None, rest]
        for row, index in enumerate(block.tolist()):
            if not alive[index]:
                continue
            kept.append(index)
            if len(kept) == limit:
                return np.array(kept, dtype=np.int64)
            alive[rest[over[row]]] = False
    return np.array(kept, dtype=np.int64)


def clip_boxes(boxes: NDArray[np.float32], width: float, height: float) -> NDArray[np.float32]:
    """Return the (N, 4) boxes clipped to [0, width] x [0, height]."""
    return np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
