"""From an image to the input of a YOLOX network: letterbox, colour order, normalisation. numpy and cv2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ..ops.normalise import tables, write_planes
from .postprocess import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class PreprocessParams:
    """A letterbox in numbers; sealed in the exported file.

    The image is scaled to fit, keeping its proportions, and lies at the top left; the rest is padding.

    Attributes:
        convention: The name of the set of numbers below, for people.
        input_size: (H, W) of the network input.
        colour: Channel order of the network input.
        mean: Subtracted from 0..255 values, in network channel order.
        std: Divided by, in network channel order.
        pad_value: 0..255 grey of the padding, normalised like the image.
        rounding: How a scaled side becomes whole pixels: "down" truncates, "nearest" rounds halves up.
        box_scale: What boxes are divided by: the exact "ratio", or the rounded "width" over the original one.
        interpolation: Of the resize.

    """

    convention: str
    input_size: tuple[int, int]
    colour: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pad_value: int = 114
    rounding: Literal["down", "nearest"] = "down"
    box_scale: Literal["ratio", "width"] = "ratio"
    interpolation: Literal["bilinear", "nearest", "area"] = "bilinear"

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        height, width = self.input_size
        names = (
            self.colour in ("rgb", "bgr"),
            self.rounding in ("down", "nearest"),
            self.box_scale in ("ratio", "width"),
        )
        if not all(names) or self.interpolation not in _INTERPOLATION:
            raise ValueError(
                f"{self.colour!r}, {self.rounding!r}, {self.box_scale!r} or {self.interpolation!r} is unknown"
            )
        if min(height, width) < 1 or not 0 <= self.pad_value < 256 or 0 in self.std:  # noqa: PLR2004
            raise ValueError(f"input size {self.input_size}, padding {self.pad_value}, std {self.std}")
        if len(self.mean) != 3 or len(self.std) != 3:  # noqa: PLR2004
            raise ValueError(f"mean {self.mean} and std {self.std} are not three channels")


# ImageNet statistics as mmcv and torchvision state them, on a 0..255 scale, in R, G, B order.
_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)

CONVENTIONS = ("easycv", "megvii", "megvii-legacy")


def params_for(convention: str, input_size: tuple[int, int]) -> PreprocessParams:
    """Return the numbers of one of `CONVENTIONS`.

    Sources: EasyCV, configs/detection/yolox/pai_yoloxs_asff_tood3_8xb16_300e_coco.py with mmcv's imrescale (easycv);
    Megvii YOLOX, yolox/data/data_augment.py, preproc and ValTransform(legacy=True) (megvii, megvii-legacy).
    """
    if convention == "easycv":
        return PreprocessParams(
            convention, input_size, "rgb", _IMAGENET_MEAN, _IMAGENET_STD, rounding="nearest", box_scale="width"
        )
    if convention == "megvii":
        return PreprocessParams(convention, input_size, "bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    if convention == "megvii-legacy":
        return PreprocessParams(convention, input_size, "rgb", _IMAGENET_MEAN, _IMAGENET_STD)
    raise ValueError(f"no preprocessing convention {convention!r}; there are {', '.join(CONVENTIONS)}")


def preprocess(
    image: NDArray[np.uint8], params: PreprocessParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], Frame]:
    """Letterbox one image.

    Args:
        image: (h, w, 3) uint8, B G R.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.

    Returns:
        The (3, H, W) float32 network input, and the frame that maps boxes back.

    """
    height, width = params.input_size
    image_height, image_width = image.shape[:2]
    ratio = min(height / image_height, width / image_width)
    new_height = _whole(image_height * ratio, params.rounding, height)
    new_width = _whole(image_width * ratio, params.rounding, width)
    if (new_height, new_width) != (image_height, image_width):
        mode = _INTERPOLATION[params.interpolation]
        image = np.asarray(cv2.resize(image, (new_width, new_height), interpolation=mode), np.uint8)
    if out is None:
        out = np.empty((3, height, width), dtype=np.float32)
    channels = tables(params.mean, params.std)
    write_planes(image, params.colour, channels, out[:, :new_height, :new_width])
    for plane, table in zip(out, channels, strict=True):
        plane[new_height:] = table[params.pad_value]
        plane[:new_height, new_width:] = table[params.pad_value]
    scale = new_width / image_width if params.box_scale == "width" else ratio
    return out, Frame(image_width, image_height, scale)


def _whole(side: float, rounding: str, limit: int) -> int:
    # A very elongated image would otherwise vanish (0 pixels).
    return min(max(int(side + 0.5 if rounding == "nearest" else side), 1), limit)
