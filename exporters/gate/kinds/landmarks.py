"""Limits of landmarks: from what rounding does to the points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....runtimes.kinds.landmarks import LandmarkLimit, LandmarkStats, measure
from .base import SEEN_ON_DEVICES, GateKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....runtimes.backends.base import Array
    from ....runtimes.parity.decoder import Decode

_MIN_PX = 1e-2  # a hundredth of a pixel is nothing to a user


def limit_from_rounding(floor: LandmarkStats, safety: float) -> LandmarkLimit:
    """Derive the limits of points from what the reference's rounding error does to them."""
    derived = f"{safety:g} x what the reference's rounding does ({floor.max:.2e} px), at least {_MIN_PX:g} px"
    limit = max(safety * floor.max, _MIN_PX)
    return LandmarkLimit(limit, limit, derived)


def _derive(decode: Decode, exact: Mapping[str, Array], rounded: Mapping[str, Array], safety: float) -> LandmarkLimit:
    return limit_from_rounding(measure(decode(exact), decode(rounded)), safety)


GATE = GateKind(derive=_derive, device=LandmarkLimit(px=0.5, mean_px=0.1, derived=SEEN_ON_DEVICES))
