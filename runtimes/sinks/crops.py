"""The parts of images that results are about, each as an image of its own."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError, UsageError
from ..job import memory_told
from .output import Names, write_whole

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from .base import Failure, Prediction, RunInfo

_UNSAFE = re.compile(r"[^\w.-]+")


class CropSink:
    """Writes ``STEM_NUMBER_LABEL.jpg`` for each box of a result; PNG where the image is one.

    Args:
        info: What is the same for all results.
        folder: Where the files go.

    Raises:
        UsageError: Entries of this kind of result have no boxes.

    """

    def __init__(self, info: RunInfo, folder: Path) -> None:
        if info.kind.boxes is None:
            raise UsageError(f"--crops: {info.spec.name} finds {info.kind.name}, which have no boxes", "Leave it out.")
        self._boxes = info.kind.boxes
        self._names = Names(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, prediction: Prediction) -> None:
        """Write the parts of an image.

        Raises:
            InputError: One cannot be written.

        """
        with memory_told():
            self._write_parts(prediction)

    def _write_parts(self, prediction: Prediction) -> None:
        import cv2

        source = Path(prediction.source)
        frame = "" if prediction.frame is None else f"_{prediction.frame:06d}"
        suffix = ".png" if source.suffix.lower() == ".png" else ".jpg"
        result = getattr(prediction.result, "result", prediction.result)  # of models in a row: the first
        labels = getattr(result, "labels", ())
        for number, box in enumerate(self._boxes(result)):
            if box is None:
                continue
            part = _part(prediction.image, box)
            if not part.size:
                continue
            label = f"_{_UNSAFE.sub('-', labels[number])}" if labels else ""
            done, data = cv2.imencode(suffix, part)
            if not done:
                raise InputError(f"cannot encode a part of {prediction.source}", "Convert the image to PNG first.")
            write_whole(self._names.take(f"{source.stem}{frame}_{number}{label}", suffix), data.tobytes())

    def fail(self, failure: Failure) -> None:
        """Do nothing: there is no image."""


def _part(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the pixels that a box touches, within the image."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(side) for side in box)
    left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
    return image[top : min(height, math.ceil(y2)), left : min(width, math.ceil(x2))]
