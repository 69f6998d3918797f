"""Changes inputs at random: bytes of any format, and JSON by its structure. The same seed gives the same change."""

from __future__ import annotations

import json
import random

_NUMBERS = (
    *(0, -1, 1, 2, 3, 255, 256, 2**15, 2**31, -(2**31), 2**53 + 1, 2**63, 10**18, 10**400),
    *(0.5, -0.0, 1e-320, 1e-45, 3.4e38, 1e39, 1e308, float("nan"), float("inf"), float("-inf")),
)
_TEXTS = (
    "",
    "x",
    "nan",
    "0",
    "true",
    "rgb",
    "sigmoid",
    "../..",
    "a\nb",
    "\x00",
    "\x1b[31m",
    "手",
    "\ud800",
    "x" * 5000,
)
_WORDS = (None, True, False, *_TEXTS)
_INTERESTING = (0, 1, 127, 128, 255)
_DEEP = 3000
# Larger texts only take longer.
_LARGEST = 1 << 17


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to four changes: flipped, set, cut out, doubled or swapped."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not changed:
            return bytes(rng.randbytes(rng.randint(0, 8)))
        at, length = rng.randrange(len(changed)), rng.choice((1, 1, 2, 4, 8, 64))
        what = rng.randrange(7)
        if what == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            changed[at] = rng.choice(_INTERESTING)
        elif what == 2:
            changed[at : at + length] = rng.randbytes(length)
        elif what == 3:
            del changed[at : at + length]
        elif what == 4:
            changed[at:at] = changed[at : at + length]
        elif what == 5:
            other = rng.randrange(len(changed))
            changed[other : other + length] = changed[at : at + length]
        else:
            del changed[at:]
    return bytes(changed)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Return a JSON text with one to three changes of its structure; now and then of its bytes."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(data, rng)
    if rng.random() < 0.05:  # the text itself: cut, doubled keys, brackets without end
        return _mutate_text(data, rng)
    try:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            content = _mutate_tree(content, rng)
        changed = json.dumps(content).encode()
        return changed if len(changed) <= _LARGEST else data
    except (ValueError, RecursionError):  # a number of more digits than Python writes
        return data


def _mutate_text(data: bytes, rng: random.Random) -> bytes:
    what = rng.randrange(4)
    if what == 0 and data.startswith(b"{"):
        entry = json.dumps({rng.choice(("model", "labels", "schema_version")): rng.choice(_WORDS)}).encode()
        return entry[:-1] + b", " + data[1:]
    if what == 1:
        return data.replace(b"[", b"[" * _DEEP, 1)
    if what == 2:
        return data.replace(b"0", b"9" * rng.choice((400, 5000)), 1)
    return mutate_bytes(data, rng)


def _mutate_tree(content: object, rng: random.Random) -> object:
    """Return a tree with one change at a place that is drawn; deep places are as likely as shallow ones."""
    places = _places(content)
    if not places or rng.random() < 0.02:
        return _value(content, rng)
    parent, key = rng.choice(places)
    what = rng.randrange(8)
    if what == 0:
        del parent[key]
    elif what == 1 and isinstance(parent, dict):
        parent[rng.choice((*_TEXTS, str(key) + "_", str(key).upper()))] = parent[key]
    elif what == 1:
        parent.insert(key, parent[key])
    elif what == 2:
        other, name = rng.choice(places)
        if key in parent if isinstance(parent, dict) else key < len(parent):
            parent[key], other[name] = _copy(other[name]), _copy(parent[key])
    else:
        parent[key] = _value(parent[key], rng)
    return content


def _places(content: object) -> list[tuple[dict | list, str | int]]:
    """Return every container with each of its keys."""
    found: list = []
    waiting = [content]
    while waiting:
        part = waiting.pop()
        entries = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, value in entries:
            found.append((part, key))
            waiting.append(value)
    return found


def _value(value: object, rng: random.Random) -> object:
    """Return something else in the place of a value: close to it, of another type, or wrapped."""
    choices: list[object] = [rng.choice(_WORDS), rng.choice(_NUMBERS), _nested(rng.choice((10, 900)))]
    choices.append(rng.choice(([value], {"value": value}, [], {}, [[]], [value, value], [value] * 300)))
    if isinstance(value, int | float):
        whole = float(value) if abs(value) < 1e300 else 0
        choices += [rng.choice((value + 1, value - 1, -value, whole, value * 1000)), str(value)[:4000]]
    elif isinstance(value, str):
        choices.append(rng.choice((value + rng.choice(_TEXTS), value.upper(), value[:-1], value * 2)))
    elif isinstance(value, list):
        choices.append(rng.sample(value, len(value)))
    return rng.choice(choices)


def _nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


def _copy(value: object) -> object:
    return json.loads(json.dumps(value))
