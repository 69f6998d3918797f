"""What a source is: named images one after another, each with its place in time where it has one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ...errors import InputError
from .decoding import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SourceOptions:
    """What a user wants of sources.

    Attributes:
        max_pixels: Images of more pixels are not decoded, nor those that take too much memory for it; see `read_image`.
        recursive: Whether a folder's subfolders are read too.
        vid_stride: Of a video or camera every so many frames.
        allow_private: Whether addresses of private networks are fetched.

    """

    max_pixels: int = MAX_PIXELS
    recursive: bool = False
    vid_stride: int = 1
    allow_private: bool = False


@dataclass(frozen=True, eq=False)
class Item:
    """One image of a source, a way to read it, or the reason why there is none: one of the three.

    Attributes:
        name: As the user named it, or its path.
        image: (h, w, 3) uint8 BGR.
        error: Why it cannot be used.
        read: Returns the image, or raises InputError; may be called in any thread.
        frame: Number of the frame in its video, from 0; None for a still image.
        time_s: Seconds since the start of the video or camera; None for a still image.

    """

    name: str
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    error: InputError | None = None
    frame: int | None = None
    time_s: float | None = None
    read: Callable[[], NDArray[np.uint8]] | None = field(default=None, repr=False)

    def loaded(self) -> Item:
        """Return the item with its image, or with the reason why it cannot be read."""
        if self.read is None:
            return self
        try:
            return replace(self, image=self.read(), read=None)
        except InputError as error:
            return replace(self, error=error, read=None)
        except Exception as error:  # whatever a decoder does to one item is no reason to lose others
            logging.getLogger(__name__).info("reading %s", self.name, exc_info=error)
            what = "not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
            return replace(
                self, error=InputError(f"cannot read {self.name}: {what}", "Run it alone with -v."), read=None
            )


@runtime_checkable
class Source(Protocol):
    """Gives items in order. An item that cannot be read is given with its error, and the next one follows.

    What can be read in any order, such as files, is given with a way to read it; frames of a video are read when they
    are asked for. So memory holds no more images than the reader keeps.
    """

    @property
    def total(self) -> int | None:
        """Number of items; None where it is not known before the end."""

    @property
    def notes(self) -> Sequence[str]:
        """What people should know of it: a line each."""

    def __iter__(self) -> Iterator[Item]: ...


@dataclass(frozen=True)
class Items:
    """A source of items that are at hand."""

    items: Sequence[Item]

    @property
    def total(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


@dataclass(frozen=True)
class Chain:
    """Several sources, one after the other."""

    sources: Sequence[Source]

    @property
    def total(self) -> int | None:
        """Number of items; None where one of the sources does not know its own."""
        totals = [source.total for source in self.sources]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None

    @property
    def notes(self) -> Sequence[str]:
        """Those of the sources."""
        return [note for source in self.sources for note in source.notes]

    def __iter__(self) -> Iterator[Item]:
        for source in self.sources:
            yield from source
