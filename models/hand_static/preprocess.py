"""From a picture to the input of a gesture classifier: scaling, colour order, normalisation. numpy, cv2 and Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..normalise import tables, write_planes
from ..resize import resize_antialiased
from .postprocess import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PreprocessParams:
    """The numbers of the preprocessing; sealed in the exported file.

    The whole picture is scaled to the input size whatever its proportions, with antialiasing.

    Attributes:
        input_size: (H, W) of the network input.
        colour: Channel order of the network input.
        mean: Subtracted from 0..255 values, in network channel order.
        std: Divided by, in network channel order.

    Defaults are upstream's: modelscope/models/cv/hand_static/hand_model.py of modelscope/modelscope, which scales with
    Pillow's bilinear filter, divides by 255 and normalises with 0.5 and 0.5.

    """

    input_size: tuple[int, int] = (112, 112)
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


# Upstream normalises values between 0 and 1.
_FULL_SCALE = 255.0


def preprocess(
    image: NDArray[np.uint8], params: PreprocessParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], Frame]:
    """Scale and normalise one picture.

    Args:
        image: (h, w, 3) uint8, B G R. All of it is classified: where the hand is known, the part that shows it.
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
