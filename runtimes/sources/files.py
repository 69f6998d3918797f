"""Images in files: single files, folders, patterns."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ..kinds.text import counted
from .base import Item, SourceOptions
from .images import SUFFIXES, count_frames, read_frames, read_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class FileSource:
    """The images that one word means: a file, those in a folder, or those that match a pattern.

    The word is expanded when the source is made; a folder's and a pattern's files come in name order. A file with
    several pages or frames gives an item for each.

    Args:
        word: A path or a glob pattern. A named file is taken whatever its ending.
        options: What the user wants.

    """

    def __init__(self, word: str, options: SourceOptions | None = None) -> None:
        self._word = word
        self._options = options or SourceOptions()
        self._entries: list[Path] | InputError
        self._notes: list[str] = []
        try:
            self._entries = _expand(word, recursive=self._options.recursive)
            self._notes = [] if self._options.recursive else _skipped(Path(word))
        except InputError as error:
            self._entries = error
        except (OSError, ValueError) as error:
            # A folder that may not be read, a name too long for the system, ** inside a word.
            self._entries = InputError(f"cannot look for {word}: {error}", "Check the path.")

    @property
    def total(self) -> int:
        """Number of files, of frames where it is one file; 1 where the word means none, for its error."""
        if isinstance(self._entries, InputError):
            return 1
        return count_frames(self._entries[0]) if len(self._entries) == 1 else len(self._entries)

    @property
    def notes(self) -> Sequence[str]:
        """Which subfolders are not read."""
        return self._notes

    def __iter__(self) -> Iterator[Item]:
        if isinstance(self._entries, InputError):
            yield Item(self._word, error=self._entries)
            return
        for path in self._entries:
            if count_frames(path) > 1:
                yield from _frames(path, self._options.max_pixels)
            else:
                yield Item(str(path), read=partial(read_image, path, self._options.max_pixels))

    def paths(self) -> list[Path]:
        """Return the files, without reading them.

        Raises:
            InputError: The word means no file.

        """
        if isinstance(self._entries, InputError):
            raise self._entries
        return self._entries


def find_images(words: Iterable[str]) -> tuple[list[Path], list[tuple[str, InputError]]]:
    """Expand files, folders and glob patterns, in the order given.

    Returns:
        The files, and (word, error) of each folder without images, each pattern that matches nothing and each word
        that cannot be looked at.

    """
    found: list[Path] = []
    errors: list[tuple[str, InputError]] = []
    for word in words:
        try:
            found += FileSource(word).paths()
        except InputError as error:
            errors.append((word, error))
    return found, errors


def _frames(path: Path, max_pixels: int) -> Iterator[Item]:
    """Yield the pages or frames of a file; the first that cannot be read is the last."""
    frames, number = read_frames(path, max_pixels), 0
    while True:
        try:
            image, seconds = next(frames)
        except StopIteration:
            return
        except InputError as error:
            yield Item(str(path), error=error, frame=number)
            return
        yield Item(str(path), image, frame=number, time_s=round(seconds, 3))
        number += 1


def _skipped(folder: Path) -> list[str]:
    """Return a line about the subfolders of a folder, where there are any."""
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not names:
        return []
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")  # noqa: PLR2004
    return [f"note: {counted(len(names), 'subfolder')} of {folder} left out ({shown}); --recursive reads them"]


def _inside(folder: Path, *, recursive: bool) -> list[Path]:
    """Return the images in a folder, in name order; links to folders are not followed, they may lead in circles."""
    if not recursive:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    found = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        found += [Path(place) / name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES]
    return found


def _raise(error: OSError) -> None:
    raise error


def _expand(word: str, *, recursive: bool = False) -> list[Path]:
    """Return the files that one word means."""
    if not word:
        raise InputError("an empty name is no source", "Name a file, a folder or a pattern.")
    path = Path(word)
    if path.is_dir():
        inside = _inside(path, recursive=recursive)
        if not inside:
            raise InputError(f"no images in the folder {word}", f"Known endings: {' '.join(sorted(SUFFIXES))}")
    elif any(mark in word for mark in "*?[") and not path.exists():
        pattern = path.relative_to(path.anchor)
        inside = sorted(p for p in Path(path.anchor).glob(str(pattern)) if p.is_file())
        if not inside:
            raise InputError(f"nothing matches {word}", "Check the pattern.")
    else:
        inside = [path]
    return inside
