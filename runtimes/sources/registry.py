"""What a SOURCE word means: a table of where each kind of source is, imported when it is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...models.lazy import resolve
from . import lists
from .base import Chain, Source, SourceOptions
from .lists import MARK, STDIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_VIDEOS = frozenset((".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"))


class SourceEntry(NamedTuple):
    """A kind of source.

    Attributes:
        means: Whether a word means this kind; asked in the order of the table.
        opens: ``"module:attribute"`` of (word, `SourceOptions`) -> `Source`.

    """

    means: Callable[[str], bool]
    opens: str


def _is_list(word: str) -> bool:
    return word == STDIN or (word.startswith(MARK) and not Path(word).exists())


def _is_camera(word: str) -> bool:
    return word.isascii() and word.isdecimal() and not Path(word).exists()


def _is_video(word: str) -> bool:
    path = Path(word)
    return path.suffix.lower() in _VIDEOS and path.is_file()


SOURCES = {
    "list": SourceEntry(_is_list, ".registry:open_list"),
    "address": SourceEntry(lambda word: _ADDRESS.match(word) is not None, ".addresses:open_address"),
    "camera": SourceEntry(_is_camera, ".video:CameraSource"),
    "video": SourceEntry(_is_video, ".video:VideoSource"),
    "files": SourceEntry(lambda _word: True, ".files:FileSource"),
}


def open_sources(words: Iterable[str], options: SourceOptions) -> Source:
    """Return one source of all that some words mean, in their order.

    A word that means nothing that can be read gives one item with its error.
    """
    return Chain([_open(word, options) for word in words])


def open_list(word: str, options: SourceOptions) -> Source:
    """Return one source of all that the words of a list mean."""
    return lists.open_list(word, options, _open)


def as_source(source: Source | str | Path | Iterable[str | Path]) -> Source:
    """Return what a caller means by a source: a word, several, or a source of its own."""
    if isinstance(source, str | Path):
        return open_sources([str(source)], SourceOptions())
    if isinstance(source, Source):
        return source
    return open_sources([str(word) for word in source], SourceOptions())


def _open(word: str, options: SourceOptions) -> Source:
    try:
        entry = next(entry for entry in SOURCES.values() if entry.means(word))
    except OSError:  # the name is too long for the system; the error is told as that of a file
        entry = SOURCES["files"]
    source: Source = resolve(entry.opens, __package__ or "")(word, options)
    return source
