"""Annotated images, each written when it is done."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import InputError, UsageError
from ..job import memory_told
from ..sources.images import SUFFIXES
from .output import Names, write_whole
from .videos import CODECS, VideoFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from ...models.results import Result
    from .base import Failure, Prediction

_UNSAFE = re.compile(r"[^\w.-]+")
_FORMATS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class ImageTarget(NamedTuple):
    """Where annotated images go: one file, one video, or a folder that is made when it is needed."""

    path: Path
    is_file: bool
    is_video: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what the text of ``--save`` means.

        A folder exists, ends with a slash or has no ending; a file ends like an image or a video.

        Raises:
            UsageError: The ending is that of neither.

        """
        path = Path(text)
        if text.endswith(("/", os.sep)) or not path.suffix or path.is_dir():
            return cls(path, is_file=False)
        if path.suffix.lower() in CODECS:
            return cls(path, is_file=False, is_video=True)
        if path.suffix.lower() not in _FORMATS:
            raise UsageError(
                f"--save {text}: {path.suffix} is not an image format that can be written",
                f"Formats: {' '.join((*_FORMATS, *CODECS))}. A folder ends with a slash: --save {text}/",
            )
        return cls(path, is_file=True)


class ImageSink:
    """Draws results onto their images and writes those, never two to the same name.

    Frames of a video, camera or stream become a video of their own; so do all images where the target is one.

    Args:
        target: The file or the folder.
        backend: Its name becomes part of the names in a folder.
        tell: Called with the path of each image that was written.
        style: What `draw` takes besides the image and the result.

    """

    def __init__(
        self,
        target: ImageTarget,
        backend: str,
        tell: Callable[[Path], None] = lambda _path: None,
        **style: Any,  # noqa: ANN401
    ) -> None:
        self._target = target
        self._backend = backend
        self._tell = tell
        self._style = style
        self._names = Names(target.path)
        self._videos: dict[str, VideoFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for video in self._videos.values():
            path = video.close()
            if path is not None:
                self._tell(path)

    def write(self, prediction: Prediction) -> None:
        """Draw a result and write the image.

        Raises:
            InputError: It cannot be written.

        """
        with memory_told():
            if self._target.is_video or _is_moving(prediction):
                self._add_frame(prediction)
            else:
                self._tell(self.save(prediction.source, prediction.image, prediction.result))

    def fail(self, failure: Failure) -> None:
        """Do nothing: there is no image."""

    def save(self, source: str, image: NDArray[np.uint8], result: Result) -> Path:
        """Draw *result* and write it; return where.

        Raises:
            InputError: It cannot be written.

        """
        import cv2

        from ..kinds.drawing import draw

        path = self._target.path if self._target.is_file else self._name(Path(source))
        if path.resolve() == Path(source).resolve():
            raise InputError(f"--save would overwrite the source {source}", "Choose another place with --save.")
        drawn = draw(image, result, **self._style)
        try:
            done, data = cv2.imencode(path.suffix, drawn)
        except cv2.error as error:  # how some versions of OpenCV say that it is not done
            if error.code == cv2.Error.StsNoMem:
                raise
            done = False
        if not done:
            height, width = image.shape[:2]
            raise InputError(
                f"cannot write {path}: the format does not hold {width}x{height} pixels",
                "Convert the image to PNG first.",
            )
        write_whole(path, data.tobytes())
        return path

    def _name(self, source: Path) -> Path:
        suffix = source.suffix.lower() if source.suffix.lower() in _FORMATS else ".png"
        return self._names.take(f"{source.stem}_{self._backend}", suffix)

    def _add_frame(self, prediction: Prediction) -> None:
        """Draw a result and add it to the video of its source."""
        from ..kinds.drawing import draw

        name = "" if self._target.is_video else prediction.source
        if name not in self._videos:
            path = self._target.path
            if not self._target.is_video:
                stem = _UNSAFE.sub("-", Path(prediction.source).stem) or "video"
                path = self._names.take(f"{stem}_{self._backend}", ".mp4")
            self._videos[name] = VideoFile(path)
        drawn = draw(prediction.image, prediction.result, **self._style)
        self._videos[name].add(drawn, prediction.time_s)


def _is_moving(prediction: Prediction) -> bool:
    """Tell whether a frame is one of a video, rather than a page or frame of an image file."""
    return prediction.frame is not None and Path(prediction.source).suffix.lower() not in SUFFIXES
