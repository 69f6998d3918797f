"""From an image to the input of a NanoDet-Plus-m network: scaling, colour order, normalisation. numpy and cv2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ..ops.normalise import tables, write_planes
from ..ops.stretch import stretch
from .postprocess import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PreprocessParams:
    """The numbers of the preprocessing; sealed in the exported file.

    The image is scaled to the input size whatever its proportions.

    Attributes:
        input_size: (H, W) of the network input.
        colour: Channel order of the network input.
        mean: Subtracted from 0..255 values, in network channel order.
        std: Divided by, in network channel order.
        fixed: What of the image stays in its place: its first "pixel", or its "corner" as with cv2.resize.

    Defaults are those of training: config/nanodet-plus-m_320.yml, data/transform/warp.py and color.py of
    RangiLyu/nanodet (B G R as cv2.imread gives it, a scaling matrix without a shift of half a pixel).

    """

    input_size: tuple[int, int] = (320, 320)
    colour: Literal["rgb", "bgr"] = "bgr"
    mean: tuple[float, float, float] = (103.53, 116.28, 123.675)
    std: tuple[float, float, float] = (57.375, 57.12, 58.395)
    fixed: Literal["pixel", "corner"] = "pixel"

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        if self.colour not in ("rgb", "bgr") or self.fixed not in ("pixel", "corner"):
            raise ValueError(f"{self.colour!r} or {self.fixed!r} is unknown")
        if len(self.input_size) != 2 or min(self.input_size) < 1:  # noqa: PLR2004
            raise ValueError(f"input size {self.input_size}")
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:  # noqa: PLR2004
            raise ValueError(f"mean {self.mean} and std {self.std} are not three channels, or std is 0")


# Upstream normalises values between 0 and 1.
_FULL_SCALE = 255.0


def preprocess(
    image: NDArray[np.uint8], params: PreprocessParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], Frame]:
    """Scale and normalise one image.

    Args:
        image: (h, w, 3) uint8, B G R.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.

    Returns:
        The (3, H, W) float32 network input, and the frame that maps boxes back.

    """
    height, width = params.input_size
    image_height, image_width = image.shape[:2]
    if params.fixed == "pixel":
        image = stretch(image, params.input_size)
    elif (image_height, image_width) != params.input_size:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if out is None:
        out = np.empty((3, height, width), dtype=np.float32)
    write_planes(image, params.colour, tables(params.mean, params.std, _FULL_SCALE), out)
    return out, Frame(image_width, image_height, width, height)
