"""Turns an image into the input of a YOLOX network: letterbox, colour order, normalisation. numpy and cv2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..ops.letterbox import fit, write_letterbox
from ..ops.normalise import tables
from ..params import NormalisedParams
from .postprocess import ImageTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PreprocessParams(NormalisedParams):
    """A letterbox in numbers; sealed in the exported file.

    The image is scaled to fit, keeping its proportions, and lies at the top left; the rest is padding. Attributes are
    those of `NormalisedParams`, and:

    Attributes:
        convention: The name of the set of numbers, for people.
        pad_value: 0..255 grey of the padding, normalised like the image.
        rounding: How a scaled side becomes whole pixels: "down" truncates, "nearest" rounds halves up.
        box_scale: Divisor of the boxes: the exact "ratio", or the rounded "width" over the original one.
        interpolation: Interpolation of the resize.

    """

    convention: str
    pad_value: int = 114
    rounding: Literal["down", "nearest"] = "down"
    box_scale: Literal["ratio", "width"] = "ratio"
    interpolation: Literal["bilinear", "nearest", "area"] = "bilinear"

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        super().__post_init__()
        if not 0 <= self.pad_value < 256:  # noqa: PLR2004
            raise ValueError(f"padding {self.pad_value} is no grey level, 0..255")


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
            input_size, "rgb", _IMAGENET_MEAN, _IMAGENET_STD, convention, rounding="nearest", box_scale="width"
        )
    if convention == "megvii":
        return PreprocessParams(input_size, "bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), convention)
    if convention == "megvii-legacy":
        return PreprocessParams(input_size, "rgb", _IMAGENET_MEAN, _IMAGENET_STD, convention)
    raise ValueError(f"no preprocessing convention {convention!r}; there are {', '.join(CONVENTIONS)}")


def preprocess(
    image: NDArray[np.uint8], params: PreprocessParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], ImageTransform]:
    """Letterbox one image.

    Args:
        image: (h, w, 3) uint8, B G R.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.

    Returns:
        The (3, H, W) float32 network input, and the transform that maps boxes back.

    """
    image_height, image_width = image.shape[:2]
    image, ratio = fit(image, params.input_size, params.rounding, params.interpolation)
    if out is None:
        out = np.empty((3, *params.input_size), dtype=np.float32)
    write_letterbox(image, params.colour, tables(params.mean, params.std), params.pad_value, out)
    scale = image.shape[1] / image_width if params.box_scale == "width" else ratio
    return out, ImageTransform(image_width, image_height, scale)
