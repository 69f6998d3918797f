"""The tables that lie beside the checkers, as JSON."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def read_table(name: str) -> dict[str, Any]:
    """Return the content of a table of this package; do not change it."""
    content: dict[str, Any] = json.loads(files(__package__ or "").joinpath(name).read_text(encoding="utf-8"))
    return content


def in_spans(number: int, spans: str) -> bool:
    """Tell whether a number is in ``"8,11-16"``."""
    for span in spans.split(","):
        first, _, last = span.partition("-")
        if int(first) <= number <= int(last or first):
            return True
    return False
