"""Checks the fields of dataclasses against their annotations, for what is read from files. Standard library alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .printable import printable

# Larger numbers mean nothing here, and as float32 or as C integers they turn into something else.
MOST = 2**31


def check_fields(value: object) -> None:
    """Refuse a dataclass whose fields do not hold what they are annotated with.

    Annotations may be of int, float, bool, str, None, Any, Literal, dataclasses, and unions, tuples and mappings of
    these. Numbers have a magnitude of at most `MOST`.

    Raises:
        ValueError: A field holds something else; the message names the first.

    """
    for name, kind in kinds_of(type(value)).items():
        held = getattr(value, name)
        if not fits(held, kind):
            raise ValueError(f"{name} is {short(held)}, which is not {words(kind)}")


def kinds_of(kind: type[Any]) -> dict[str, Any]:
    """Return the type of each field of a dataclass."""
    if kind not in _KINDS:
        hints = get_type_hints(kind)
        _KINDS[kind] = {field.name: hints[field.name] for field in fields(kind)}
    return _KINDS[kind]


# The fields' types by class: reading annotations takes longer than everything else.
_KINDS: dict[type[Any], dict[str, Any]] = {}


def fits(value: object, kind: Any) -> bool:  # noqa: ANN401
    """Tell whether a value is of the type of an annotation."""
    check = _CHECKS.get(get_origin(kind))
    if check is not None:
        return check(value, get_args(kind))
    if kind is Any:
        return True
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind in (int, float):
        # numpy's numbers too; NaN and infinity are never meant.
        return isinstance(value, Integral if kind is int else Real) and bool(-MOST <= value <= MOST)  # type: ignore[operator]
    return isinstance(value, NoneType if kind is None else kind)


def _fits_tuple(value: object, items: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple):
        return False
    if items[-1] is Ellipsis:
        items = items[:1] * len(value)
    return len(value) == len(items) and all(map(fits, value, items))


def _fits_mapping(value: object, items: tuple[Any, ...]) -> bool:
    key, held = items
    return isinstance(value, Mapping) and all(fits(k, key) and fits(v, held) for k, v in value.items())


def _fits_any(value: object, kinds: tuple[Any, ...]) -> bool:
    return any(fits(value, kind) for kind in kinds)


_CHECKS: Mapping[Any, Callable[[object, tuple[Any, ...]], bool]] = {
    tuple: _fits_tuple,
    Mapping: _fits_mapping,
    dict: _fits_mapping,
    Union: _fits_any,
    UnionType: _fits_any,
    # The type too: True and 1 are equal, and True is no member of Literal[1].
    Literal: lambda value, choices: any(type(value) is type(choice) and value == choice for choice in choices),
}


def words(kind: Any) -> str:  # noqa: ANN401
    """Return what a field of this type takes, for a message."""
    origin, items = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(repr(choice) for choice in items)
    if origin in (Union, UnionType):
        return " or ".join(map(words, items))
    if origin is tuple:
        number = "a list of" if items[-1] is Ellipsis else str(len(items))
        return f"{number} {_PLURALS[items[0]]}"
    if origin in (Mapping, dict):
        return "an object" if items[1] is Any else f"an object of {_PLURALS[items[1]]}"
    return _SINGULARS.get(kind, f"a {getattr(kind, '__name__', kind)}")


_SINGULARS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
_LONGEST = 80


def short(value: object) -> str:
    """Return a value for a message, in characters that every terminal shows, and cut."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, lists in lists without end
        return f"a {type(value).__name__}"
    return printable(text, _LONGEST)
