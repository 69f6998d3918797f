"""Aligned text for people, which every kind of result is described with."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from ...models.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """Return a number and what it counts, in the plural where it takes one."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def numbers(values: Sequence[float]) -> str:
    """Return pixels in columns."""
    return "  ".join(f"{value:7.1f}" for value in values)


def padded(names: Sequence[str]) -> list[str]:
    """Return the names at one width, as they can be printed; Chinese characters are two columns wide."""
    names = [printable(name) for name in names]
    widths = [sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in name) for name in names]
    return [name + " " * (max(widths) - width) for name, width in zip(names, widths, strict=True)]
