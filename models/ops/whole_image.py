"""From a whole picture to the input of a classifier: scaling, colour order, normalisation. numpy, cv2 and Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from .normalise import tables, write_planes
from .resize import resize_antialiased

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Frame(NamedTuple):
    """The picture that was classified; classes have no place in it.

    Attributes:
        width: In pixels.
        height: In pixels.

    """

    width: int
    height: int


@dataclass(frozen=True)
class PictureParams:
    """The numbers of the preprocessing; sealed in the exported file.

    The whole picture is scaled to the input size whatever its proportions, with Pillow's antialiased bilinear filter.

    Attributes:
        input_size: (H, W) of the network input.
        colour: Channel order of the network input.
        mean: Subtracted from 0..255 values, in network channel order.
        std: Divided by, in network channel order.

    """

    input_size: tuple[int, int]
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        if self.colour not in ("rgb", "bgr"):
            raise ValueError(f"{self.colour!r} is unknown")
        if len(self.input_size) != 2 or min(self.input_size) < 1:  # noqa: PLR2004
            raise ValueError(f"input size {self.input_size}")
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:  # noqa: PLR2004
            raise ValueError(f"mean {self.mean} and std {self.std} are not three channels, or std is 0")


# Networks are trained on values between 0 and 1, which are then normalised: the last bits come from that order.
_FULL_SCALE = 255.0


def preprocess(
    image: NDArray[np.uint8], params: PictureParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], Frame]:
    """Scale and normalise one picture.

    Args:
        image: (h, w, 3) uint8, B G R. All of it is classified.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.

    Returns:
        The (3, H, W) float32 network input, and the picture's size.

    """
    if out is None:
        out = np.empty((3, *params.input_size), dtype=np.float32)
    small = resize_antialiased(image, params.input_size)
    write_planes(small, params.colour, tables(params.mean, params.std, _FULL_SCALE), out)
    return out, Frame(image.shape[1], image.shape[0])
