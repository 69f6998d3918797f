"""Turns an image, or a face in it, into the network input: crop, scale, normalisation. numpy and cv2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ...errors import InputError
from ..ops.normalise import write_planes
from ..params import InputParams
from .postprocess import ImageTransform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PreprocessParams(InputParams):
    """The numbers of the preprocessing; sealed in the exported file.

    Attributes:
        input_size: (H, W) of the network input.
        colour: Channel order of the network input.
        value_range: Network values of the grey levels 0 and 255.
        box_unit: Side of a face box of scale 1, in pixels of the image; the longer side counts.
        crop_unit: Side of what is cut out at scale 1, in the same pixels.

    The colour is that of training, lib/dataset/alignmentDataset.py of ZhenglinZhou/STAR (B G R as cv2.imread gives it).
    The units are those of modelscope/modelscope, pipelines/cv/facial_68ldk_detection_pipeline.py (180) and
    models/cv/facial_68ldk_detection/infer.py (200): the crop is a ninth larger than the box.

    """

    input_size: tuple[int, int] = (256, 256)
    colour: Literal["rgb", "bgr"] = "bgr"
    value_range: tuple[float, float] = (-1.0, 1.0)
    box_unit: float = 180.0
    crop_unit: float = 200.0

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        super().__post_init__()
        if not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"values from {self.value_range}")
        if not (self.box_unit > 0 and self.crop_unit > 0):
            raise ValueError(f"units {self.box_unit} and {self.crop_unit}")


def preprocess(
    image: NDArray[np.uint8],
    params: PreprocessParams,
    out: NDArray[np.float32] | None = None,
    *,
    box: Sequence[float] | NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.float32], ImageTransform]:
    """Turn an image, or a face in it, into the network input.

    Args:
        image: (h, w, 3) uint8, B G R.
        params: Sizes and numbers.
        out: (3, H, W) float32 to write into, C-contiguous; every value of it is written. None: a new one.
        box: (x1, y1, x2, y2) of a face in pixels of the image; the crop around it keeps proportions and is black
            where it reaches out of the image. None: the whole image is scaled whatever its proportions.

    Returns:
        The (3, H, W) float32 network input, and the transform that maps points back.

    Raises:
        InputError: The box cannot be used.

    """
    height, width = params.input_size
    if box is None:
        transform = ImageTransform(_ratios(image, params.input_size), None)
        if image.shape[:2] != params.input_size:
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    else:
        corners = _check(box, image)
        matrix, inverse = _crop(corners, params)
        transform = ImageTransform(inverse, corners)
        warped = cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        image = np.asarray(warped, np.uint8)
    if out is None:
        out = np.empty((3, height, width), dtype=np.float32)
    write_planes(image, params.colour, (_table(params.value_range),) * 3, out)
    return out, transform


def _ratios(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the (3, 3) matrix from network pixels to those of the whole image."""
    return np.diag([image.shape[1] / size[1], image.shape[0] / size[0], 1]).astype(np.float32)


def _check(box: Sequence[float] | NDArray[np.floating], image: NDArray[np.uint8]) -> Box:
    """Return the box as four numbers."""
    hint = "Give x1 y1 x2 y2 in pixels of the image, x2 > x1 and y2 > y1."
    try:
        x1, y1, x2, y2 = (float(value) for value in box)
    except (TypeError, ValueError) as error:
        raise InputError(f"{box!r} is not a face box", hint) from error
    text = f"the face box {x1:g} {y1:g} {x2:g} {y2:g}"
    if not (np.isfinite([x1, y1, x2, y2]).all() and x2 > x1 and y2 > y1):
        raise InputError(f"{text} has no extent", hint)
    height, width = image.shape[:2]
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise InputError(f"{text} lies outside of the image of {width}x{height} pixels", hint)
    return x1, y1, x2, y2


def _crop(box: Box, params: PreprocessParams) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the (3, 3) float32 matrix from image pixels to network pixels, and its inverse.

    The middle of the box becomes that of the network input, (side - 1) / 2; infer.py, TransformPerspective. A network
    input that is not square is filled to its shorter side.
    """
    x1, y1, x2, y2 = box
    height, width = params.input_size
    # In float64, as upstream; what float32 cannot hold shows in the matrix, or in a point that is mapped back.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scale = np.float64(max(x2 - x1, y2 - y1)) / params.box_unit
        zoom = min(height, width) / (scale * params.crop_unit)
        shift_x = (width - 1) / 2 - zoom * ((x1 + x2) / 2)
        shift_y = (height - 1) / 2 - zoom * ((y1 + y2) / 2)
        matrix = np.array([[zoom, 0, shift_x], [0, zoom, shift_y], [0, 0, 1]]).astype(np.float32)
        # The quotient in float32 too: numpy 1 would make it a float64.
        usable = np.isfinite(matrix).all() and np.isfinite(np.float32(max(height, width)) / matrix[0, 0])
    if not usable:
        raise InputError(
            f"the face box {x1:g} {y1:g} {x2:g} {y2:g} is too large or too small",
            "Give x1 y1 x2 y2 in pixels of the image.",
        )
    return matrix, np.linalg.inv(matrix)


@lru_cache(maxsize=4)
def _table(value_range: tuple[float, float]) -> NDArray[np.float32]:
    """Return the (256,) float32 network value of each grey value: v / 255 * (high - low) + low, rounded each step."""
    low, high = (np.float32(value) for value in value_range)
    return np.arange(256, dtype=np.float32) / np.float32(255) * (high - low) + low
