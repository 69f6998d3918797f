"""Images in files: single files, folders, patterns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from .base import Item
from .images import MAX_PIXELS, SUFFIXES, read_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FileSource:
    """The images that one word means: a file, those directly in a folder, or those that match a pattern.

    The word is expanded when the source is made; a folder's and a pattern's files come in name order.

    Args:
        word: A path or a glob pattern. A named file is taken whatever its ending.
        max_pixels: Images of more pixels are not decoded.

    """

    def __init__(self, word: str, max_pixels: int = MAX_PIXELS) -> None:
        self._word = word
        self._max_pixels = max_pixels
        self._entries: list[Path] | InputError
        try:
            self._entries = _expand(word)
        except InputError as error:
            self._entries = error
        except (OSError, ValueError) as error:
            # A folder that may not be read, a name too long for the system, ** inside a word.
            self._entries = InputError(f"cannot look for {word}: {error}", "Check the path.")

    @property
    def total(self) -> int:
        """Number of files; 1 where the word means none, for its error."""
        return 1 if isinstance(self._entries, InputError) else len(self._entries)

    def __iter__(self) -> Iterator[Item]:
        if isinstance(self._entries, InputError):
            yield Item(self._word, error=self._entries)
            return
        for path in self._entries:
            try:
                item = Item(str(path), read_image(path, self._max_pixels))
            except InputError as error:
                item = Item(str(path), error=error)
            yield item

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


def _expand(word: str) -> list[Path]:
    """Return the files that one word means."""
    if not word:
        raise InputError("an empty name is no source", "Name a file, a folder or a pattern.")
    path = Path(word)
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
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
