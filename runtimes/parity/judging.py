"""Verdicts on measured statistics. A judge measures nothing: it gets statistics and limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .limits import SMALLEST_RELATIVE
from .verdicts import Judgement, judge

if TYPE_CHECKING:
    from .limits import TensorLimit
    from .tensors import TensorStats

# Require an output spread of at least 20x the tolerance, else the comparison has no power.
_INFORMATIVE = 20.0
# A rounding error over this part of an output's spread is none: the reference itself is unsound.
_PLAUSIBLE_FLOOR = 1e-2


def judge_tensor(stats: TensorStats, limit: TensorLimit) -> Judgement:
    """Judge one output of one case."""
    if not stats.finite:
        return Judgement("failed", ("values that are not finite",))
    allowed, reasons = limit.allowed(stats.largest), []
    if not stats.max_abs <= allowed:
        reasons.append(f"max abs {stats.max_abs:.3g} is over the limit {allowed:.3g}")
    if stats.rms > limit.rms:
        reasons.append(f"RMS {stats.rms:.3g} is over the limit {limit.rms:.3g}")
    return judge(reasons)


def judge_spread(name: str, spread: float, limit: TensorLimit, floor: TensorStats) -> Judgement:
    """Judge whether comparing an output can tell anything.

    Args:
        name: The output.
        spread: Standard deviation of its values between images.
        limit: What the output may differ by.
        floor: The reference's own rounding error.

    """
    if not math.isfinite(spread) or not floor.finite:
        return Judgement("failed", (f"{name} of the reference is not finite",))
    if spread <= _INFORMATIVE * SMALLEST_RELATIVE or spread <= _INFORMATIVE * limit.max_abs:
        return Judgement(
            "uninformative", (f"{name} varies by {spread:.2e} between images, its limit is {limit.max_abs:.2e}",)
        )
    if floor.max_abs > _PLAUSIBLE_FLOOR * spread:
        return Judgement("failed", (f"the reference's rounding error {floor.max_abs:.2e} is too large to judge by",))
    return Judgement("passed")
