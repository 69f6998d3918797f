"""Scales an image to fit a size, keeping its proportions, and pads the rest. numpy and cv2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from .normalise import write_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}


def fit(
    image: NDArray[np.uint8], size: tuple[int, int], rounding: str, interpolation: str
) -> tuple[NDArray[np.uint8], float]:
    """Scale an image to fit a size, its proportions kept.

    Args:
        image: (h, w, 3) uint8, channels in any order.
        size: (H, W) that the image has to fit in.
        rounding: How a scaled side becomes whole pixels: "down" truncates, "nearest" rounds halves up.
        interpolation: One of `INTERPOLATION`.

    Returns:
        The scaled image, and the exact ratio of its sides to those of the image, before rounding.

    """
    height, width = size
    image_height, image_width = image.shape[:2]
    ratio = min(height / image_height, width / image_width)
    new_height = _whole(image_height * ratio, rounding, height)
    new_width = _whole(image_width * ratio, rounding, width)
    if (new_height, new_width) != (image_height, image_width):
        mode = INTERPOLATION[interpolation]
        image = np.asarray(cv2.resize(image, (new_width, new_height), interpolation=mode), np.uint8)
    return image, ratio


def write_letterbox(
    image: NDArray[np.uint8],
    colour: str,
    channels: tuple[NDArray[np.float32], ...],
    pad_value: int,
    out: NDArray[np.float32],
) -> None:
    """Write the planes of an image to the top left of a network input, and padding to the rest.

    Args:
        image: (h, w, 3) uint8, B G R, no larger than the network input.
        colour: "bgr" or "rgb", the order of the planes.
        channels: (256,) float32 table of the value of each grey level, plane by plane.
        pad_value: Grey level of the padding.
        out: (3, H, W) float32; every value of it is written.

    """
    height, width = image.shape[:2]
    write_planes(image, colour, channels, out[:, :height, :width])
    for plane, table in zip(out, channels, strict=True):
        plane[height:] = table[pad_value]
        plane[:height, width:] = table[pad_value]


def _whole(side: float, rounding: str, limit: int) -> int:
    # A very elongated image would otherwise vanish (0 pixels).
    return min(max(int(side + 0.5 if rounding == "nearest" else side), 1), limit)
