"""Altered copies of stored values: each differs in one place, in a way that no writer of ours would make."""

from __future__ import annotations

import copy

import numpy as np

# What stands in the place of a value: other types, sizes and signs.
OTHERS = (None, "text", -1, 10**30, [], {}, [[1]], {"a": 1}, float("nan"), "inf")


def altered_json(content, rng, count):
    """*count* copies of JSON content, each with one value anywhere in it replaced or removed."""
    places = list(_places(content))
    for number in rng.choice(len(places), min(count, len(places)), replace=False):
        changed = copy.deepcopy(content)
        *way, last = places[number]
        holder = changed
        for key in way:
            holder = holder[key]
        other = rng.integers(len(OTHERS) + 1)
        if other == len(OTHERS):
            del holder[last]
        else:
            holder[last] = copy.deepcopy(OTHERS[other])
        yield places[number], changed


def _places(value, way=()):
    """Ways to every value; of lists only the first and the last, whose middle is alike."""
    if isinstance(value, dict):
        parts = list(value.items())
    else:
        parts = list(enumerate(value)) if isinstance(value, list) else []
        parts = parts if len(parts) < 3 else [parts[0], parts[-1]]
    for key, part in parts:
        yield (*way, key)
        yield from _places(part, (*way, key))


def altered_arrays(arrays, rng, count):
    """*count* copies of arrays by name, each with one of another shape or type, or without one."""
    names = sorted(arrays)
    changes = (
        lambda value: None,
        lambda value: value[:0],
        lambda value: value[..., :1],
        lambda value: value.astype(np.int64),
        lambda value: value.reshape(-1),
        lambda value: np.concatenate([value, value]),
        lambda value: np.full_like(value, np.nan) if value.dtype.kind == "f" else value[None],
        lambda value: np.array(0.5),
    )
    for _ in range(count):
        name, change = names[rng.integers(len(names))], rng.integers(len(changes))
        made = changes[change](arrays[name])
        rest = {other: value for other, value in arrays.items() if other != name}
        yield (name, int(change)), rest if made is None else {**rest, name: made}
