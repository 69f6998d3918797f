"""Limits of classes: from what rounding does to the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....runtimes.kinds.classes import ClassLimit, ClassStats, measure
from .base import SEEN_ON_DEVICES, GateKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....runtimes.backends.base import Array
    from ....runtimes.parity.decoder import Decode

_MIN_PROB = 1e-5


def limit_from_rounding(floor: ClassStats, safety: float) -> ClassLimit:
    """Derive the limit of class scores from what the reference's rounding error does to them."""
    derived = f"{safety:g} x what the reference's rounding does ({floor.max_prob:.2e}), at least {_MIN_PROB:g}"
    return ClassLimit(max(safety * floor.max_prob, _MIN_PROB), derived)


def _derive(decode: Decode, exact: Mapping[str, Array], rounded: Mapping[str, Array], safety: float) -> ClassLimit:
    return limit_from_rounding(measure(decode(exact), decode(rounded)), safety)


GATE = GateKind(derive=_derive, device=ClassLimit(prob=1e-2, derived=SEEN_ON_DEVICES))
