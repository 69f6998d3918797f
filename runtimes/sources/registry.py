"""What a SOURCE word means: a table of where each kind of source is, imported when it is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...models.lazy import resolve
from .base import Chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .base import Source

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_VIDEOS = frozenset((".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"))


class SourceEntry(NamedTuple):
    """A kind of source.

    Attributes:
        means: Whether a word means this kind; asked in the order of the table.
        opens: ``"module:attribute"`` of (word, max_pixels) -> `Source`.

    """

    means: Callable[[str], bool]
    opens: str


def _is_camera(word: str) -> bool:
    return word.isascii() and word.isdecimal() and not Path(word).exists()


def _is_video(word: str) -> bool:
    path = Path(word)
    return path.suffix.lower() in _VIDEOS and path.is_file()


# What is in `refused` is known, and answered with the command to use instead.
SOURCES = {
    "standard input": SourceEntry(lambda word: word == "-", ".refused:standard_input"),
    "address": SourceEntry(lambda word: _ADDRESS.match(word) is not None, ".refused:address"),
    "camera": SourceEntry(_is_camera, ".refused:camera"),
    "video": SourceEntry(_is_video, ".refused:video"),
    "files": SourceEntry(lambda _word: True, ".files:FileSource"),
}


def open_sources(words: Iterable[str], max_pixels: int) -> Source:
    """Return one source of all that some words mean, in their order.

    A word that means nothing that can be read gives one item with its error.
    """
    return Chain([_open(word, max_pixels) for word in words])


def _open(word: str, max_pixels: int) -> Source:
    try:
        entry = next(entry for entry in SOURCES.values() if entry.means(word))
    except OSError:  # the name is too long for the system; the error is told as that of a file
        entry = SOURCES["files"]
    source: Source = resolve(entry.opens, __package__ or "")(word, max_pixels)
    return source
