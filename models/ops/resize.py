"""Scaling with Pillow's antialiasing, which networks that were trained on Pillow's or torchvision's scaling need.

numpy and Pillow. OpenCV's scaling cannot stand in: cv2.resize looks at four pixels however many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resize_antialiased(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale an image to *size* whatever its proportions, as ``PIL.Image.resize`` with the bilinear filter does.

    When it gets smaller, every pixel of the image takes part. Pillow scales across and then down, rounding in
    between; from its version 13 on it scales images that lose much more height than width down first, which can
    change a value by a grey level.

    Args:
        image: (h, w, 3) uint8, channels in any order: each is scaled by itself.
        size: (H, W).

    Returns:
        (H, W, 3) uint8, channels in the same order.

    """
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR), np.uint8)
