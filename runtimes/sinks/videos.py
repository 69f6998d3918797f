"""Annotated videos, by OpenCV: frames of one source become one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InputError, UsageError
from .output import cannot_write, partial_name

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

# Codecs that OpenCV's own FFMPEG encodes, by the ending of the file.
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80"}
# Where frames do not say when they are shown.
_USUAL_RATE, _HIGHEST_RATE = 25.0, 120.0
# Fewer frames than that share in the file: the disk was full, which OpenCV does not say.
_WHOLE = 0.9


class VideoFile:
    """One video that is written frame by frame, and appears under its name when it is complete.

    Its rate is that of the first two frames. Frames of another size than the first are scaled into it.

    Args:
        path: Its path.

    Raises:
        UsageError: The ending is that of no video that can be written.

    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in CODECS:
            raise UsageError(f"{path.suffix} is no video that can be written", f"Known: {' '.join(CODECS)}")
        self.path = path
        self._partial = partial_name(path)
        self._first: tuple[NDArray[np.uint8], float | None] | None = None
        self._writer: Any = None
        self._size = (0, 0)
        self._frames = 0

    def add(self, image: NDArray[np.uint8], time_s: float | None) -> None:
        """Write a frame, (h, w, 3) uint8 BGR, shown at *time_s*.

        Raises:
            InputError: The file cannot be written.

        """
        if self._first is None:
            self._first = image, time_s
            return
        if self._writer is None:
            self._open(self._first, time_s)
        self._put(image)

    def close(self) -> Path | None:
        """Finish the file and return its path; None where there was no frame.

        Raises:
            InputError: It could not be written whole.

        """
        if self._first is None:
            return None
        if self._writer is None:
            self._open(self._first, None)
        self._writer.release()
        try:
            if self._readable() < _WHOLE * self._frames:
                raise InputError(f"cannot write {self.path} whole", "The disk may be full.")
            self._partial.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        finally:
            self._partial.unlink(missing_ok=True)
        return self.path

    def _open(self, first: tuple[NDArray[np.uint8], float | None], second: float | None) -> None:
        import cv2

        image, shown = first
        rate = _USUAL_RATE
        if shown is not None and second is not None and second > shown:
            rate = min(1 / (second - shown), _HIGHEST_RATE)
        # Encoders of most videos take even sizes only.
        self._size = max(2, image.shape[1] // 2 * 2), max(2, image.shape[0] // 2 * 2)
        try:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_bytes(b"")  # says why it cannot, which OpenCV does not
        except OSError as error:
            raise cannot_write(self.path, error) from error
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self._partial), code, rate, self._size)
        if not self._writer.isOpened():
            raise InputError(f"this OpenCV cannot encode {self.path.suffix}", f"Try another: {' '.join(CODECS)}")
        self._put(image)

    def _put(self, image: NDArray[np.uint8]) -> None:
        import cv2

        height, width = image.shape[:2]
        if (width, height) != self._size:
            across, down = self._size
            scale = min(across / width, down / height)
            inner = max(1, round(width * scale)), max(1, round(height * scale))
            scaled = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
            edges = (0, down - inner[1], 0, across - inner[0])
            image = cv2.copyMakeBorder(scaled, *edges, cv2.BORDER_CONSTANT)  # type: ignore[assignment]
        self._writer.write(image)
        self._frames += 1

    def _readable(self) -> int:
        """Return the number of frames that can be read back, as the container says."""
        import cv2

        reader = cv2.VideoCapture(str(self._partial))
        try:
            return int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
        finally:
            reader.release()
