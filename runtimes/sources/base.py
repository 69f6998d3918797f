"""What a source is: named images one after another, each with its place in time where it has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ...errors import InputError


@dataclass(frozen=True, eq=False)
class Item:
    """One image of a source, or the reason why there is none. One of `image` and `error` is None.

    Attributes:
        name: As the user named it, or its path.
        image: (h, w, 3) uint8 BGR.
        error: Why it cannot be used.
        frame: Number of the frame in its video, from 0; None for a still image.
        time_s: Seconds since the start of the video or camera; None for a still image.

    """

    name: str
    image: NDArray[np.uint8] | None = field(default=None, repr=False)
    error: InputError | None = None
    frame: int | None = None
    time_s: float | None = None


class Source(Protocol):
    """Gives items in order. An item that cannot be read is given with its error, and the next one follows.

    Images are read when they are asked for, so that memory holds no more of them than the reader keeps.
    """

    @property
    def total(self) -> int | None:
        """Number of items; None where it is not known before the end."""

    def __iter__(self) -> Iterator[Item]: ...


@dataclass(frozen=True)
class Items:
    """A source of items that are at hand."""

    items: Sequence[Item]

    @property
    def total(self) -> int:
        """Number of items."""
        return len(self.items)

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

    def __iter__(self) -> Iterator[Item]:
        for source in self.sources:
            yield from source
