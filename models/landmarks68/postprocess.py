"""Turns the network's landmarks into points in image pixels. numpy alone, so an app can embed it.

>>> (landmarks,) = postprocess(outputs, transforms, PostprocessParams(), labels=())  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..params import Params, check_size
from ..results import Landmarks
from .contours import SKELETON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class ImageTransform(NamedTuple):
    """The relation of the network input to the image that it comes from.

    Attributes:
        inverse: (3, 3) float32, from (x, y, 1) in pixels of the network input to pixels of the image.
        box: (x1, y1, x2, y2) of the face in pixels of the image; None where the whole image was taken.

    """

    inverse: NDArray[np.float32]
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class PostprocessParams(Params):
    """Parameters of the decoding of the network's output; sealed in the exported file.

    Attributes:
        input_size: (H, W) of the network input.

    """

    input_size: tuple[int, int] = (256, 256)

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        super().__post_init__()
        check_size(self.input_size)


def output_shapes(
    _params: PostprocessParams, _labels: Sequence[str], _input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output for one image; see `ModelSpec.output_shapes`."""
    return {"landmarks": (68, 2)}


def postprocess(
    outputs: Mapping[str, NDArray[np.float32]],
    transforms: Sequence[ImageTransform],
    params: PostprocessParams,
    labels: Sequence[str],  # noqa: ARG001
) -> list[Landmarks]:
    """Map the points of a batch to their images.

    Args:
        outputs: ``landmarks`` (N, 68, 2) float32, x y from -1 to 1 over the network input.
        transforms: N image transforms, as preprocessing returned them.
        params: Size of the network input.
        labels: Not used; points have no classes.

    Returns:
        N times the points of one face, in pixels of its image, neither clipped nor rounded.

    """
    height, width = params.input_size
    # -1 and 1 are the outer edges of the first and the last pixel: infer.py of modelscope/modelscope,
    # models/cv/facial_68ldk_detection.
    points = ((outputs["landmarks"] + 1) * np.array([width, height], dtype=np.float32) - 1) / 2
    return [_place(points[i], transform) for i, transform in enumerate(transforms)]


def _place(points: NDArray[np.float32], transform: ImageTransform) -> Landmarks:
    """Map (68, 2) points in network pixels to the image."""
    mapped = points @ transform.inverse[:2, :2].T + transform.inverse[:2, 2]
    boxes = None if transform.box is None else np.array([transform.box], dtype=np.float32)
    return Landmarks(np.asarray(mapped[None], dtype=np.float32), boxes, SKELETON)
