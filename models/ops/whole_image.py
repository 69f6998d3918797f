"""Turns a whole image into the input of a classifier: scaling, colour order, normalisation. numpy, cv2 and Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..params import NormalisedParams
from .normalise import tables, write_planes
from .resize import resize_antialiased

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ImageTransform(NamedTuple):
    """The size of the image that was classified; classes have no position to map back.

    Attributes:
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.

    """

    width: int
    height: int


@dataclass(frozen=True)
class WholeImageParams(NormalisedParams):
    """The numbers of the preprocessing; sealed in the exported file.

    The whole image is scaled to the input size whatever its proportions, with Pillow's antialiased bilinear filter.
    Attributes are those of `NormalisedParams`.
    """

    input_size: tuple[int, int]
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)


# Networks are trained on values between 0 and 1, which are then normalised: the last bits come from that order.
_FULL_SCALE = 255.0


def preprocess(
    image: NDArray[np.uint8], params: WholeImageParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], ImageTransform]:
    """Scale and normalise one image.

    Args:
        image: (h, w, 3) uint8, B G R. All of it is classified.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.

    Returns:
        The (3, H, W) float32 network input, and the image's size.

    """
    if out is None:
        out = np.empty((3, *params.input_size), dtype=np.float32)
    small = resize_antialiased(image, params.input_size)
    write_planes(small, params.colour, tables(params.mean, params.std, _FULL_SCALE), out)
    return out, ImageTransform(image.shape[1], image.shape[0])
