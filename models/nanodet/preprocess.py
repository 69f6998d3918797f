"""Turns an image into the input of a NanoDet-Plus-m network: scaling, colour order, normalisation. numpy and cv2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import cv2
import numpy as np

from ..ops.normalise import tables, write_planes
from ..ops.stretch import stretch
from ..params import NormalisedParams
from .postprocess import ImageTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PreprocessParams(NormalisedParams):
    """The numbers of the preprocessing; sealed in the exported file.

    The image is scaled to the input size whatever its proportions. Attributes are those of `NormalisedParams`, and:

    Attributes:
        alignment: Which coordinates are scaled, in the words of ONNX's Resize: "asymmetric" (pixel 0 stays in its
            place) or "half_pixel" (the image's edges stay in theirs, as with cv2.resize).

    Defaults are those of training: config/nanodet-plus-m_320.yml, data/transform/warp.py and color.py of
    RangiLyu/nanodet (B G R as cv2.imread gives it, a scaling matrix without a shift of half a pixel).

    """

    legacy: ClassVar[Mapping[str, tuple[str, Mapping[Any, Any]]]] = {
        "fixed": ("alignment", {"pixel": "asymmetric", "corner": "half_pixel"})
    }

    input_size: tuple[int, int] = (320, 320)
    colour: Literal["rgb", "bgr"] = "bgr"
    mean: tuple[float, float, float] = (103.53, 116.28, 123.675)
    std: tuple[float, float, float] = (57.375, 57.12, 58.395)
    alignment: Literal["asymmetric", "half_pixel"] = "asymmetric"


# Upstream normalises values between 0 and 1.
_FULL_SCALE = 255.0


def preprocess(
    image: NDArray[np.uint8], params: PreprocessParams, out: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], ImageTransform]:
    """Scale and normalise one image.

    Args:
        image: (h, w, 3) uint8, B G R.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.

    Returns:
        The (3, H, W) float32 network input, and the transform that maps boxes back.

    """
    height, width = params.input_size
    image_height, image_width = image.shape[:2]
    if params.alignment == "asymmetric":
        image = stretch(image, params.input_size)
    elif (image_height, image_width) != params.input_size:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if out is None:
        out = np.empty((3, height, width), dtype=np.float32)
    write_planes(image, params.colour, tables(params.mean, params.std, _FULL_SCALE), out)
    return out, ImageTransform(image_width, image_height, width, height)
