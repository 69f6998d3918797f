"""Lists of sources: a text with a word on each line, in a file or on standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from .base import Chain, Item, Items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .base import Source, SourceOptions

STDIN = "-"
MARK = "@"


def open_list(word: str, options: SourceOptions, opens: Callable[[str, SourceOptions], Source]) -> Source:
    """Return one source of all words of a list, in their order.

    Empty lines and lines that begin with # are left out. Paths are relative to the working directory.

    Args:
        word: ``-`` for standard input, or ``@`` and the path of a text file in UTF-8.
        options: What the user wants.
        opens: Returns the source of one word.

    """
    try:
        lines = _lines(word)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        refused = InputError(f"cannot read the list {word.removeprefix(MARK)}: {reason}", "Give a text file of paths.")
        return Items([Item(word, error=refused)])
    words = [line.strip() for line in lines]
    words = [entry for entry in words if entry and not entry.startswith("#")]
    if not words:
        return Items([Item(word, error=InputError(f"the list {word} names nothing", "Write a path on each line."))])
    return Chain([_open(entry, options, opens) for entry in words])


def _open(entry: str, options: SourceOptions, opens: Callable[[str, SourceOptions], Source]) -> Source:
    if entry == STDIN or (entry.startswith(MARK) and not _is_there(entry)):
        refused = InputError(f"{entry} in a list: lists are not read from lists", "Name its entries.")
        return Items([Item(entry, error=refused)])
    return opens(entry, options)


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for the system, or with a null character
        return False


def _lines(word: str) -> Iterable[str]:
    text = sys.stdin.read() if word == STDIN else Path(word.removeprefix(MARK)).read_text(encoding="utf-8-sig")
    return text.split("\n")  # not splitlines: a name may hold what that takes for the end of a line, such as U+2028
