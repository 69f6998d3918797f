"""Pictures to measure on, the same on every machine: noise with the spectrum of photographs, in several sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# (height, width), in turns.
SIZES = ((480, 640), (640, 480), (720, 1280), (240, 320))
_COARSEST = 4


def synthetic(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return pictures whose contrast falls with the frequency as that of photographs does.

    Args:
        count: Number of pictures.
        seed: Of the random numbers.

    Returns:
        (h, w, 3) uint8 each.

    """
    return [_picture(*SIZES[number % len(SIZES)], np.random.default_rng((seed, number))) for number in range(count)]


def _picture(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a sum of random grids, each twice as fine as the last and half as strong."""
    import cv2

    total = np.zeros((height, width, 3), np.float32)
    cells, strength = _COARSEST, 1.0
    while cells < min(height, width):
        grid = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        total += np.float32(strength) * np.asarray(cv2.resize(grid, (width, height)), np.float32)
        cells, strength = cells * 2, strength / 2
    return np.clip(128 + 48 * total, 0, 255).astype(np.uint8)
