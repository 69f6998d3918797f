"""Frames of videos, cameras and streams, by OpenCV: each with its number and its time, one at a time."""

from __future__ import annotations

import os
import re
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from .base import Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .base import SourceOptions

# A stream that breaks off is opened again so many times in a row, after so many seconds, doubled each time.
TRIES, PAUSE = 5, 0.5
# A stream that does not answer for so long has broken off, in milliseconds.
TIMEOUT_MS = 10_000
# OpenCV's LOG_LEVEL_SILENT.
_SILENT = 0
# From this share of the frames that a file announces on, it has ended where it should: containers count roughly.
_WHOLE = 0.9
_SECRET = re.compile(r"(?<=://)[^/@]*@")
_CAMERA_HINT = "Check that it is plugged in, not in use, and that you may use it (on Linux: read /dev/video*)."


def without_secret(address: str) -> str:
    """Return an address without the name and password in it."""
    return _SECRET.sub("***@", address)


class VideoSource:
    """The frames of a video file.

    `Item.frame` counts all frames of the file from 0, also with a stride; `Item.time_s` is the time in the container.

    Args:
        word: The path.
        options: What the user wants.

    """

    def __init__(self, word: str, options: SourceOptions) -> None:
        self._word = word
        self._options = options

    @property
    def total(self) -> int | None:
        """None: what containers announce is an estimate."""
        return None

    @property
    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def __iter__(self) -> Iterator[Item]:
        with closing(_Capture(self._word)) as capture:
            if not capture.is_open:
                yield Item(self._word, error=_unreadable(self._word))
                return
            number = -1
            for number, image in enumerate(capture.frames(self._options.vid_stride)):
                if image is not None:
                    yield _frame(self._word, image, number, capture.time_s(number), self._options)
            read, announced = number + 1, capture.announced
        if not read:
            yield Item(
                self._word, error=InputError(f"{self._word} has no frames", "Play it to see whether it is whole.")
            )
        elif read < _WHOLE * announced:
            yield Item(
                self._word,
                error=InputError(
                    f"{self._word} breaks off: {read} of {announced} frames could be read",
                    "The file may be cut short; copy it again.",
                ),
                frame=read,
            )


class CameraSource:
    """The frames of a camera of this machine, until it gives no more.

    Args:
        word: Its number.
        options: What the user wants.

    """

    def __init__(self, word: str, options: SourceOptions) -> None:
        self._word = word
        self._options = options

    @property
    def total(self) -> int | None:
        """None: it does not end."""
        return None

    @property
    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def __iter__(self) -> Iterator[Item]:
        with closing(_Capture(int(self._word))) as capture:
            if not capture.is_open:
                yield Item(self._word, error=InputError(f"there is no camera {self._word}", _CAMERA_HINT))
                return
            began, number = time.monotonic(), -1
            for number, image in enumerate(capture.frames(self._options.vid_stride)):
                if image is not None:
                    yield _frame(self._word, image, number, time.monotonic() - began, self._options)
        lost = InputError(f"camera {self._word} gives no more frames, after {number + 1}", _CAMERA_HINT)
        yield Item(self._word, error=lost, frame=number + 1)


class StreamSource:
    """The frames of an address that OpenCV's FFMPEG reads, such as rtsp://; one that breaks off is opened again.

    Each loss is an item with its error. Names and passwords in the address are never shown. Frames that come faster
    than they are run wait in FFMPEG's buffers, where the oldest are lost.

    Args:
        word: The address.
        options: What the user wants.

    """

    def __init__(self, word: str, options: SourceOptions) -> None:
        self._address = word
        self._name = without_secret(word)
        self._options = options

    @property
    def total(self) -> int | None:
        """None: it may not end."""
        return None

    @property
    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def __iter__(self) -> Iterator[Item]:
        began, number, tries = time.monotonic(), 0, 0
        while tries < TRIES:
            if tries:
                time.sleep(PAUSE * 2 ** (tries - 1))
            with closing(_Capture(self._address)) as capture:
                tries += 1
                first = number
                for image in capture.frames(self._options.vid_stride) if capture.is_open else ():
                    tries = 1  # it works: what comes next is another loss
                    if image is not None:
                        yield _frame(self._name, image, number, time.monotonic() - began, self._options)
                    number += 1
            if number > first:
                lost = InputError(f"{self._name} broke off after {number} frames; opening it again", "")
                yield Item(self._name, error=lost, frame=number)
        hint = "Check the address, the network, and that the stream is running."
        yield Item(self._name, error=InputError(f"{self._name} cannot be opened in {TRIES} tries", hint))


class _Capture:
    """OpenCV's reader of one video."""

    def __init__(self, what: str | int) -> None:
        import cv2

        # What FFMPEG has to say goes to stderr without the name of the file; errors here say it with.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # the former until 4.12
        set_log_level(_SILENT)
        self._cv2: Any = cv2
        if isinstance(what, int):
            self._capture: Any = cv2.VideoCapture(what)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
            self._capture = cv2.VideoCapture(what, cv2.CAP_FFMPEG, limits)

    @property
    def is_open(self) -> bool:
        """Whether there is something to read."""
        return bool(self._capture.isOpened())

    @property
    def announced(self) -> int:
        """Frames that the container announces; 0 where it does not."""
        return max(0, int(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)))

    def frames(self, stride: int) -> Iterator[NDArray[np.uint8] | None]:
        """Yield each frame, None for those that the stride leaves out: they are not decoded to pixels."""
        number = 0
        while self._capture.grab():
            if number % stride:
                yield None
            else:
                done, image = self._capture.retrieve()
                if not done:
                    return
                yield np.asarray(image, np.uint8)
            number += 1

    def time_s(self, number: int) -> float:
        """Return the time of the frame that was read last, by the container or by the number of the frame."""
        seconds = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
        rate = self._capture.get(self._cv2.CAP_PROP_FPS)
        if seconds <= 0 < number and rate > 0:
            seconds = number / rate
        return float(max(0.0, seconds))

    def close(self) -> None:
        """Release the reader."""
        self._capture.release()


def _frame(name: str, image: NDArray[np.uint8], number: int, seconds: float, options: SourceOptions) -> Item:
    height, width = image.shape[:2]
    if height * width <= options.max_pixels:
        return Item(name, image, frame=number, time_s=round(seconds, 3))
    reason = f"{name} has frames of {width}x{height} pixels, the limit is {options.max_pixels:,}"
    error = InputError(reason, f"Raise the limit with --max-pixels {width * height}.")
    return Item(name, error=error, frame=number, time_s=round(seconds, 3))


def _unreadable(word: str) -> InputError:
    return InputError(f"{word} is no video that OpenCV can read", "Convert it: ffmpeg -i FILE -c:v libx264 out.mp4")
