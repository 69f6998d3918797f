"""Reads JSON that a file holds about itself: only what has one meaning, and what can be written again."""

from __future__ import annotations

import json
import math
from typing import Any

# The deepest that the toolkit writes is 7.
_DEEPEST = 32
_MOST = 2**63


def read_plain(text: str | bytes) -> Any:  # noqa: ANN401
    """Return the content of a JSON text.

    Raises:
        ValueError: It is no JSON, or it holds a name twice, a number that is not finite or needs more than 64 bits, a
            text that is no Unicode, or lists in lists without end.

    """
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check(content)
    return content


def json_lines(text: str) -> list[str]:
    """Return the lines of a JSON Lines text, without empty ones.

    Only a line feed ends a line: a name may hold one of the others that `str.splitlines` knows, such as U+2028.
    """
    return [line for line in text.split("\n") if line.strip()]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it holds {twice!a} twice")
    return content


def _check(content: object) -> None:
    """Look at every value, level by level."""
    level = [content]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                check_text("".join(value))
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                check_text(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("it holds a number that is not finite")
            elif isinstance(value, int) and not -_MOST <= value < _MOST:
                raise ValueError("it holds a number of more than 64 bits")
        if not inner:
            return
        level = inner
    raise ValueError(f"it is nested more than {_DEEPEST} levels deep")


def check_text(text: str) -> None:
    """Refuse, with a ValueError, a text that cannot be written: JSON can hold half of a pair of surrogates."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"it holds a text that is no Unicode: {text[:80]!a}") from error
