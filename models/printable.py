"""Text of other people in our own lines: names and labels may hold anything, commands to a terminal among it."""

from __future__ import annotations

import re

# C0 but line feed and tab, DEL, C1, and what turns the direction of text around (Unicode TR 9).
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def without_controls(text: str) -> str:
    """Return text of several lines in which control characters are escaped, as in JSON."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(text: str, longest: int | None = None) -> str:
    r"""Return a name as it stands in a line: what cannot be printed, line feeds among it, is escaped as ``\u000a``.

    Args:
        text: The name.
        longest: Cut it after so many characters; None never does.

    """
    shown = text if text.isprintable() else "".join(map(_printable, text))
    return shown if longest is None or len(shown) <= longest else f"{shown[:longest]}..."


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 1 << 16 else f"\\U{ord(character):08x}"
