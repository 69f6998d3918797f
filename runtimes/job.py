"""One call of a predictor: the parts of images that it runs, what was found in them, and the time that it took."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .arguments import Box


# cv2.Error.StsNoMem: what OpenCV raises where numpy raises a MemoryError. The module itself is not needed for that.
_CV2_NO_MEMORY = -4


class Region(NamedTuple):
    """What one row of a batch shows.

    Attributes:
        image: (h, w, 3) uint8 BGR.
        box: The part of the image, x1 y1 x2 y2 in pixels; None for all of it.

    """

    image: NDArray[np.uint8]
    box: Box | None = None

    def place(self) -> dict[str, Any]:
        """Return the box as preprocessing takes it."""
        return {} if self.box is None else {"box": self.box}


class Timing(NamedTuple):
    """Mean milliseconds per image, by stage. Reading the file is not in it.

    Attributes:
        preprocess: From pixels to the network's input.
        network: The run of the network, copies to and from the device included.
        postprocess: From the network's outputs to results.
        warmup: Whether a run was the first of its shape, in which the backend also prepared itself; such a timing does
            not belong into a mean.

    """

    preprocess: float
    network: float
    postprocess: float
    warmup: bool = False

    def plus(self, other: Timing, times: float = 1.0) -> Timing:
        """Return the sum of this and of so many times another; a warm-up in one is one in both."""
        return Timing(
            self.preprocess + times * other.preprocess,
            self.network + times * other.network,
            self.postprocess + times * other.postprocess,
            warmup=self.warmup or other.warmup,
        )


class Job:
    """One call: what was found in each image, what cannot be used, and the time that it took."""

    def __init__(self, images: int, params: Any, *, collects: bool) -> None:  # noqa: ANN401
        self.params = params
        self.errors: list[InputError | None] = [None] * images
        self.found: list[list[Any]] = [[] for _ in range(images)]
        self._collects = collects
        self._seconds = np.zeros(3)
        self._warm = True

    @contextmanager
    def guard(self, index: int) -> Iterator[None]:
        """Keep an InputError as that of an image, where errors are collected."""
        try:
            with memory_told():
                yield
        except InputError as error:
            self.keep(index, error)

    def keep(self, index: int, error: InputError) -> None:
        """Raise an error, or keep it as that of an image."""
        if not self._collects:
            raise error
        self.errors[index] = self.errors[index] or error

    def add(self, seconds: tuple[float, float, float], *, warm: bool) -> None:
        """Add the time of a batch."""
        self._seconds += seconds
        self._warm = self._warm and warm

    def timing(self) -> Timing:
        """Return the mean per image that was run."""
        ran = sum(error is None for error in self.errors)
        preprocess, network, postprocess = (self._seconds * 1000 / max(ran, 1)).tolist()
        return Timing(preprocess, network, postprocess, not self._warm)


@contextmanager
def memory_told() -> Iterator[None]:
    """Turn an allocation that fails, in numpy or in OpenCV, into the error of one image.

    Raises:
        InputError: There is not enough memory.

    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "code", None) == _CV2_NO_MEMORY:
            raise InputError("there is not enough memory for this image", "Shrink the image.") from error
        raise
