"""Comparing legs: tensors, decoded results, and what a file says about itself. One frozen value is the outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtimes.kinds.registry import get_kind
from ...runtimes.parity.judging import Judgement, judge_spread, judge_tensor
from ...runtimes.parity.tensors import measure_tensor
from .kinds.registry import get_gate_kind
from .rounding import row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...runtimes.parity.judging import Verdict
    from ...runtimes.parity.limits import Limits
    from .legs import LegRun, Subject
    from .reference import CaseReference, LegCase, Reference


@dataclass(frozen=True)
class Comparison:
    """One compared thing: its figures and its verdict.

    Attributes:
        legs: Names of the two that were compared, or of the one that it is about; empty for the seal.
        tier: "seal", "spread", "tensors" or "decoded".
        case: Name of the case.
        what: The output, the image, or the sealed field.
        figures: Measured.
        judgement: Verdict and reasons.
        counts: Whether it decides the verdict.

    """

    legs: tuple[str, ...]
    tier: str
    case: str
    what: str
    figures: Mapping[str, Any]
    judgement: Judgement
    counts: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        where = {"legs": "-".join(self.legs), "tier": self.tier, "case": self.case, "what": self.what}
        return {**where, "figures": dict(self.figures), **asdict(self.judgement), "counts": self.counts}


@dataclass(frozen=True)
class Verification:
    """What came out of a comparison; the record, the text and the evidence are derived from it.

    Attributes:
        seal: What the file was meant to say about itself, as JSON.
        reference: The reference, with its cases and limits.
        legs: Every leg of the table, with what became of it.
        comparisons: Everything that was compared.
        limits: What each leg that ran may differ by, by its name.

    """

    seal: Mapping[str, Any]
    reference: Reference
    legs: tuple[LegRun, ...]
    comparisons: tuple[Comparison, ...]
    limits: Mapping[str, Limits]

    @property
    def verdict(self) -> Verdict:
        """Whether everything that counts passed."""
        return _verdict([entry for entry in self.comparisons if entry.counts])

    def verdict_of(self, leg: str) -> Verdict:
        """Whether a leg passed all comparisons in which it is the second."""
        return _verdict([entry for entry in self.comparisons if entry.legs[1:] == (leg,)])


def _verdict(comparisons: Sequence[Comparison]) -> Verdict:
    return "failed" if any(entry.judgement.verdict != "passed" for entry in comparisons) else "passed"


def verify(
    seal: Mapping[str, Any], sealed: Mapping[str, Any] | None, subject: Subject, runs: Sequence[LegRun]
) -> Verification:
    """Compare every leg that ran with those that its row names.

    Args:
        seal: What the file was meant to say about itself, as JSON.
        sealed: What it does say; None where there is no file.
        subject: What was run.
        runs: The legs.

    """
    reference = subject.reference
    found = [] if sealed is None else _compare_seal(seal, sealed)
    found += _judge_spreads(reference)
    ran = {run.leg.name: run for run in runs if run.ran}
    limits = {name: run.leg.limits(subject) for name, run in ran.items() if run.leg.against}
    for name, run in ran.items():
        for first in run.leg.against:
            if first in ran:
                found += compare_legs(reference, ran[first], run, limits[name])
    return Verification(seal, reference, tuple(runs), tuple(found), limits)


def compare_legs(reference: Reference, first: LegRun, second: LegRun, limits: Limits) -> list[Comparison]:
    """Compare two legs: each output of each case, then the results.

    Args:
        reference: The reference, for the cases, and to decode with its thresholds moved.
        first: The leg that is taken for right.
        second: The other.
        limits: What they may differ by.

    """
    legs, counts = (first.leg.name, second.leg.name), first.leg.counts and second.leg.counts
    found = []
    for case, right, other in zip(reference.cases, first.cases, second.cases, strict=True):
        for name, expected in right.outputs.items():
            stats = measure_tensor(expected, other.outputs[name])
            judgement = judge_tensor(stats, limits.tensors[name])
            found.append(Comparison(legs, "tensors", case.name, name, asdict(stats), judgement, counts))
        for i in range(len(case.regions)):
            figures, judgement = _compare_results(reference, case, i, (right, other), limits)
            found.append(Comparison(legs, "decoded", case.name, f"image {i + 1}", figures, judgement, counts))
    return found


def _compare_results(
    reference: Reference, case: CaseReference, index: int, pair: tuple[LegCase, LegCase], limits: Limits
) -> tuple[dict[str, Any], Judgement]:
    """Compare what two legs make of one region."""
    kind, gate = get_kind(reference.spec.kind), get_gate_kind(reference.spec.kind)
    best = case.best[index]
    expected, result = (leg.results[index] for leg in pair)
    decode = partial(reference.decoder, transform=case.transforms[index])
    variants = partial(gate.vary, decode, row(pair[0].outputs, index), best, reference.decoder.params, limits.decoded)
    figures: dict[str, Any] = {"image": index}
    if gate.candidates is not None:
        figures["candidates"] = "best" if best else "over the threshold"
    stats = kind.measure(expected, result, variants)
    figures |= stats.figures()
    if not len(expected):
        return figures, Judgement("uninformative", ("there is nothing to compare",))
    return figures, kind.judge(stats, limits.decoded)


def _compare_seal(expected: Mapping[str, Any], sealed: Mapping[str, Any]) -> list[Comparison]:
    """Compare what the file says about itself with what it was meant to say, field by field."""
    found = []
    for name in sorted({*expected, *sealed}):
        same = expected.get(name) == sealed.get(name)
        reasons = () if same else (f"sealed {sealed.get(name)!r} instead of {expected.get(name)!r}",)
        found.append(Comparison((), "seal", "", name, {}, Judgement("passed" if same else "failed", reasons)))
    return found


def _judge_spreads(reference: Reference) -> list[Comparison]:
    """Judge whether each output tells images apart; a constant one would agree whatever else were wrong."""
    found = []
    for name, limit in reference.limits.tensors.items():
        rows = np.concatenate([case.outputs[name] for case in reference.cases]).astype(np.float64)
        with np.errstate(invalid="ignore"):
            spread = float(np.sqrt(rows.var(axis=0).mean())) if len(rows) > 1 else float(rows.std())
        judgement = judge_spread(name, spread, limit, reference.floor[name])
        found.append(Comparison(("torch",), "spread", "", name, {"spread": spread}, judgement))
    return found
