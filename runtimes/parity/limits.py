"""Limits: what two runs of one network may differ by, and how a user replaces them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from ...errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Smallest relative tolerance: 16 float32 roundings (24 bits of mantissa), for a handful of final operations.
SMALLEST_RELATIVE = 16 * 2.0**-24
# Figures of which a larger value is the stricter limit.
_LOWER_BOUNDS = ("iou",)
_WIDEST = "the widest of: "


@dataclass(frozen=True)
class TensorLimit:
    """What one output may differ by.

    Attributes:
        max_abs: For the largest absolute difference; *rtol* times the reference's largest magnitude is added.
        rtol: Relative part.
        derived: How the limit came about.
        rms: For the root mean square of the difference; infinite where only single values are judged.

    """

    max_abs: float
    rtol: float = 0.0
    derived: str = ""
    rms: float = math.inf

    def allowed(self, largest: float) -> float:
        """Return what one value may differ by where the reference's largest magnitude is *largest*."""
        return self.max_abs + self.rtol * largest


class DecodedLimit(Protocol):
    """Limits of decoded results: a frozen dataclass of a kind, with a number for each figure."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def derived(self) -> str:
        """How the limits came about."""


_D = TypeVar("_D", bound=DecodedLimit)


@dataclass(frozen=True)
class Limits:
    """All limits of one comparison: by output name, and those of decoded results."""

    tensors: Mapping[str, TensorLimit]
    decoded: DecodedLimit


def figure_names(limit: DecodedLimit) -> list[str]:
    """Return the figures that limits of decoded results are about."""
    return [entry.name for entry in fields(limit) if entry.name != "derived"]


def share_of_limit(name: str, figure: float, limit: float) -> float:
    """Return a figure as a share of its limit: 0 where nothing differs, 1 at the limit."""
    if name in _LOWER_BOUNDS:  # of figures that are 1 where nothing differs
        figure, limit = 1 - figure, 1 - limit
    return figure / limit if limit else math.inf if figure else 0.0


def widest(limits: Sequence[_D]) -> _D:
    """Return limits that let pass what any of these does."""
    first, *others = limits
    if not others:
        return first
    changes: dict[str, Any] = {
        name: (min if name in _LOWER_BOUNDS else max)(getattr(limit, name) for limit in limits)
        for name in figure_names(first)
    }
    parts = [part for limit in limits for part in limit.derived.removeprefix(_WIDEST).split("; ")]
    return replace(first, **changes, derived=_WIDEST + "; ".join(dict.fromkeys(parts)))


def widest_limits(limits: Sequence[Limits]) -> Limits:
    """Return limits that let pass what any of these does, output by output; those with the largest error are named."""
    tensors = {
        name: max((entry.tensors[name] for entry in limits), key=lambda limit: limit.max_abs)
        for name in limits[0].tensors
    }
    return Limits(tensors, widest([entry.decoded for entry in limits]))


def apply_tolerances(limits: Limits, tolerances: Sequence[str]) -> Limits:
    """Return the limits with some replaced by ``OUT:FIGURE=X``; OUT is an output, ``*``, or ``decoded``.

    Raises:
        UsageError: Not of that form, or an unknown output or figure.

    """
    for text in tolerances:
        name, figure, value = _parse_tolerance(text)
        if name == "decoded":
            known = {entry: entry for entry in figure_names(limits.decoded)}
            changes: dict[str, Any] = {_choose(figure, known, text): value}
            decoded = replace(limits.decoded, **changes, derived=f"{limits.decoded.derived}; set by --tolerance {text}")
            limits = replace(limits, decoded=decoded)
            continue
        names = list(limits.tensors) if name == "*" else [name]
        tensors = dict(limits.tensors)
        for output in names:
            if output not in tensors:
                raise UsageError(
                    f"--tolerance {text}: no output {output!r}", did_you_mean(output, [*tensors, "decoded"])
                )
            changes = {_choose(figure, {"atol": "max_abs", "rtol": "rtol", "rms": "rms"}, text): value}
            if not tensors[output].derived.startswith("--tolerance"):
                # What a user sets stands in the place of all that was derived.
                changes = {"rms": math.inf, **({"max_abs": 0.0} if figure == "rtol" else {}), **changes}
            tensors[output] = replace(tensors[output], **changes, derived=f"--tolerance {text}")
        limits = replace(limits, tensors=tensors)
    return limits


def _parse_tolerance(text: str) -> tuple[str, str, float]:
    name, colon, rest = text.partition(":")
    figure, equals, number = rest.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not (colon and equals and name) or not value >= 0 or not math.isfinite(value):
        raise UsageError(f"--tolerance {text} is not OUT:FIGURE=X", "For example cls_0:atol=1e-3 or decoded:px=0.5.")
    return name, figure, value


def _choose(figure: str, known: Mapping[str, str], text: str) -> str:
    if figure not in known:
        raise UsageError(f"--tolerance {text}: no figure {figure!r}", did_you_mean(figure, known))
    return known[figure]
