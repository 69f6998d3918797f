"""Verdicts and the reasons for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "failed", "uninformative"]


@dataclass(frozen=True)
class Judgement:
    """A verdict and the reasons for it; *borderline* tells what was within tolerance of a threshold."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    borderline: tuple[str, ...] = ()


def judge(reasons: list[str], borderline: list[str] | None = None) -> Judgement:
    """Return the judgement that these reasons to fail, if any, and notes make."""
    return Judgement("failed" if reasons else "passed", tuple(reasons), tuple(borderline or ()))
