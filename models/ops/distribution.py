"""Box sides as distributions over distances (Generalized Focal Loss, arXiv 2006.04388). numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDES = 4
# Within this, exp() neither overflows nor vanishes in float32, sums included; trained logits stay below 20.
MAX_LOGIT = np.float32(80)


def expected_distances(bins: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far the sides of boxes are expected from their points, (4, n) float32: left, top, right, bottom.

    The distance is the mean of the bins' numbers 0 .. B-1, weighted by the softmax of their logits.

    Args:
        bins: (4B, n) float32 logits of the B bins of left, then of top, right and bottom.

    """
    logits = bins.reshape(_SIDES, len(bins) // _SIDES, bins.shape[1])
    weights = np.exp(np.clip(logits, -MAX_LOGIT, MAX_LOGIT))
    numbers = np.arange(logits.shape[1], dtype=np.float32)
    # One product gives the sums of weight * number and of the weights, (4, 2, n).
    sums = np.stack((numbers, np.ones_like(numbers))) @ weights
    distances: NDArray[np.float32] = sums[:, 0] / sums[:, 1]
    return distances


def boxes_around(points: NDArray[np.float32], distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n, 4) float32 boxes, x1 y1 x2 y2.

    Args:
        points: (3, n) float32 x and y of points, and the stride that distances are counted in.
        distances: (4, n) float32 of left, top, right and bottom from them.

    """
    x, y, stride = points
    left, top, right, bottom = distances * stride
    return np.stack((x - left, y - top, x + right, y + bottom), axis=1)
