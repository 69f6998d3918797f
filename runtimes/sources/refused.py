"""Sources that are known and not read: each gives one error, with the command to use instead."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import InputError
from .base import Item, Items

if TYPE_CHECKING:
    from .base import Source

_DOWNLOADS = frozenset(("http", "https", "ftp"))
_STREAMS = frozenset(("rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"))


def standard_input(word: str, _max_pixels: int) -> Source:
    """Refuse ``-``."""
    return _refuse(word, "images are not read from standard input (-)", "Use: cat > image.png && cvrun image.png")


def address(word: str, _max_pixels: int) -> Source:
    """Refuse an address, which is left as it was given."""
    parts, quoted = urlsplit(word), shlex.quote(word)
    name = PurePosixPath(parts.path).name
    if parts.scheme in _STREAMS:
        hint = f"Use: ffmpeg -i {quoted} -frames:v 1 image.png && cvrun image.png"
    elif parts.scheme in _DOWNLOADS and name:
        hint = f"Use: curl -O {quoted} && cvrun {shlex.quote(name)}"
    elif parts.scheme in _DOWNLOADS:
        hint = f"Use: curl -o image.jpg {quoted} && cvrun image.jpg"
    else:
        hint = "Copy the file to this machine and give its path."
    return _refuse(word, f"images are not read from addresses: {word}", hint)


def camera(word: str, _max_pixels: int) -> Source:
    """Refuse the number of a camera."""
    hint = f"Use: ffmpeg -f v4l2 -i /dev/video{word} -frames:v 1 image.png && cvrun image.png"
    return _refuse(word, f"images are not read from cameras, and there is no file {word}", hint)


def video(word: str, _max_pixels: int) -> Source:
    """Refuse a video."""
    hint = f"Use: mkdir -p frames && ffmpeg -i {shlex.quote(word)} frames/%06d.png && cvrun frames/"
    return _refuse(word, f"images are not read from videos: {word}", hint)


def _refuse(word: str, reason: str, hint: str) -> Source:
    return Items([Item(word, error=InputError(reason, hint))])
