"""Files that results go to: whole or not at all where half of one is of no use, else line by line."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_HINT = "Choose another place."
# What else helps, by the system's number of an error.
_HINTS = {
    errno.ENOSPC: "Free some space there, or choose another place.",
    errno.EDQUOT: "Free some space there, or choose another place.",
    errno.EFBIG: "Files may not grow larger here (ulimit -f, or the file system): choose another place.",
    errno.EIO: "The disk may be broken: choose another place.",
}


class OutFile:
    """A text file that a sink writes to. What cannot be written is taken back to the last whole piece.

    Args:
        path: Its path; folders that are missing are made.
        whole: Whether it appears under its name only when it is complete.
        resume_at: Bytes that are kept of the file that is there; None begins a new one.

    Attributes:
        intact: Whether all that was to be written was.

    """

    def __init__(self, path: Path, *, whole: bool, resume_at: int | None = None) -> None:
        self.intact = True
        self._path = path
        self._whole = whole
        self._resume_at = resume_at
        self._written = 0
        self._ends = True  # whether the last piece is there

    def __enter__(self) -> Self:
        self._place = partial_name(self._path) if self._whole else self._path
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_dir():
                raise InputError(f"{self._path} is a folder, results go to a file", _HINT)
            self._file = self._place.open("wb" if self._resume_at is None else "r+b", buffering=0)
            if self._resume_at is not None:
                self._file.truncate(self._resume_at)
                self._written = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            # Without its last piece, the end of a document, it is not whole.
            if self._whole and self._written and self._ends:
                self._place.replace(self._path)
        except OSError as failure:
            raise cannot_write(self._path, failure) from failure
        finally:
            if self._whole:
                with suppress(OSError):
                    self._place.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return self._written

    def write(self, text: str, /) -> None:
        """Write a piece of text, all of it or nothing.

        Raises:
            InputError: It cannot be written.

        """
        before, self.intact, self._ends = self.intact, False, False
        data = text.encode("utf-8", "backslashreplace")
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            with suppress(OSError):
                self._file.seek(self._written)
                self._file.truncate(self._written)
            raise cannot_write(self._path, error) from error
        self._written += len(data)
        self.intact, self._ends = before, True

    def flush(self) -> None:
        """Do nothing: all is written at once."""


class Names:
    """Names of files in a folder, none twice.

    Args:
        folder: Where they are.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[Path] = set()

    def take(self, stem: str, suffix: str) -> Path:
        """Return a path that was not taken before: the stem, with a number behind it where it must be."""
        number, path = 1, self._folder / f"{stem}{suffix}"
        while path in self._taken:
            number += 1
            path = self._folder / f"{stem}-{number}{suffix}"
        self._taken.add(path)
        return path


def write_whole(path: Path, data: bytes, partial: Path | None = None) -> None:
    """Write a file, whole or not at all; folders that are missing are made.

    Args:
        path: Its path.
        data: Its content.
        partial: Where it is written before it is complete; None is a place beside it that no other process uses.

    Raises:
        InputError: It cannot be written.

    """
    # A killed process leaves it behind. With the ending of an image, it would be an image of its folder.
    partial = partial or path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(place: Path | str, error: OSError) -> InputError:
    """Return the error for people, with its cause and what to do."""
    return InputError(f"cannot write {place}: {error.strerror or error}", _HINTS.get(error.errno or 0, _HINT))


def partial_name(path: Path) -> Path:
    """Return the name of a file that is not complete yet, with its ending."""
    return path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
