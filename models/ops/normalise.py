"""Turns pixels into the normalised planes of a network input. numpy and cv2."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GREYS = np.arange(256, dtype=np.float32)


@lru_cache(maxsize=16)
def tables(mean: tuple[float, ...], std: tuple[float, ...], full_scale: float = 1.0) -> tuple[NDArray[np.float32], ...]:
    """Return the normalised value of each grey value, one (256,) float32 table per channel.

    (value/f - mean/f) / (std/f) with *full_scale* f, every step rounded to float32: it cancels out but for the last
    bits, which are then those of a network's own code.

    Args:
        mean: Subtracted from 0..255 values, channel by channel.
        std: Divided by.
        full_scale: Divisor of the values, the mean and the deviation, applied first.

    """
    scale = np.float32(full_scale)
    values = _GREYS / scale
    return tuple((values - np.float32(m) / scale) / (np.float32(s) / scale) for m, s in zip(mean, std, strict=True))


def write_planes(
    image: NDArray[np.uint8], colour: str, channels: tuple[NDArray[np.float32], ...], out: NDArray[np.float32]
) -> None:
    """Write each channel of an image, looked up in its table, into its plane.

    A channel has 256 possible values: looking them up gives the bits of the formula in a tenth of the time.

    Args:
        image: (h, w, 3) uint8, B G R.
        colour: "bgr" or "rgb", the order of the planes.
        channels: Three tables, in the order of the planes.
        out: (3, h, w) float32; rows may be parts of longer ones.

    """
    planes = cv2.split(image)
    if colour == "rgb":
        planes = planes[::-1]
    for plane, table, target in zip(planes, channels, out, strict=True):
        if np.array_equal(table, _GREYS):
            np.copyto(target, plane)  # the values are the grey levels themselves
        else:
            cv2.LUT(plane, table, dst=target)
