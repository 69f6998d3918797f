"""Reading a network's structure from the keys and shapes of its checkpoint.

Where several tensors tell the same thing the majority decides, so that a checkpoint with a few missing or misshapen
tensors still gets its structure, and strict loading can say which ones they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

Shapes = Mapping[str, Sequence[int]]
T = TypeVar("T")

_SHOWN = 3


def matches(shapes: Shapes, pattern: str) -> Iterator[tuple[re.Match[str], Sequence[int]]]:
    """Yield the match and the shape of every key that starts with *pattern*."""
    compiled = re.compile(pattern)
    for key, shape in shapes.items():
        if match := compiled.match(key):
            yield match, shape


def has(shapes: Shapes, pattern: str) -> bool:
    """Return whether a key starts with *pattern*."""
    return any(True for _ in matches(shapes, pattern))


def named(shapes: Shapes, pattern: str) -> Iterator[str]:
    """Yield the first group of every match."""
    return (match[1] for match, _ in matches(shapes, pattern))


def vote(values: Iterable[T]) -> T | None:
    """Return the most frequent value, the first of equals, None if there is none."""
    ranked = Counter(values).most_common(1)
    return ranked[0][0] if ranked else None


def count(shapes: Shapes, prefix: str) -> int:
    """Return how long the list under *prefix* is, at least 1: one more than the largest index (of two digits)."""
    return 1 + max((int(match["index"]) for match, _ in matches(shapes, rf"{prefix}\.(?P<index>\d\d?)\.")), default=0)


def sizes(shapes: Shapes, pattern: str, axis: int) -> Iterator[int]:
    """Yield the size along *axis* of every key that starts with *pattern*, where there is such an axis."""
    return (shape[axis] for _, shape in matches(shapes, pattern) if len(shape) > axis and shape[axis] > 0)


def common_size(shapes: Shapes, pattern: str, axis: int) -> int:
    """Return the most frequent of `sizes`; 1 if no key is left, which strict loading will then list."""
    return vote(sizes(shapes, pattern, axis)) or 1


def sample(shapes: Shapes) -> str:
    """Return the first few keys, for a message."""
    keys = list(shapes)
    return ", ".join(keys[:_SHOWN]) + (" ..." if len(keys) > _SHOWN else "") if keys else "none at all"
