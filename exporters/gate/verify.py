"""Comparing legs: tensors, decoded results, and what a file says about itself. One frozen value is the outcome."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...runtimes.kinds.registry import get_kind
from ...runtimes.parity.judging import judge_spread, judge_tensor
from ...runtimes.parity.limits import SMALLEST_RELATIVE, TensorLimit, figure_names
from ...runtimes.parity.tensors import error_histogram, measure_tensor
from ...runtimes.parity.verdicts import Judgement
from .kinds.registry import get_gate_kind
from .rounding import row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...runtimes.kinds.base import Mark
    from ...runtimes.parity.limits import Limits
    from ...runtimes.parity.tensors import TensorStats
    from ...runtimes.parity.verdicts import Verdict
    from .legs import LegRun, Subject
    from .reference import CaseReference, LegCase, Reference


# A thousand roundings of float64, in units of one of float32: the mantissa has 29 bits more.
_FINE = 1000 * 2.0**-29


@dataclass(frozen=True)
class Comparison:
    """One compared thing: its figures and its verdict.

    Attributes:
        legs: Names of the two that were compared, or of the one that it is about; empty for the seal.
        tier: "seal", "structure", "algebra", "run", "spread", "tensors", "batches" or "decoded".
        case: Name of the case.
        what: The output, the image, or the sealed field.
        figures: Measured.
        judgement: Verdict and reasons.
        counts: Whether it decides the verdict.
        limits: What figures were allowed to be, by their names.
        rows: A row for each compared item, figures by name, as its kind of result has them.
        histogram: How many values differ by how much, see `error_histogram`.
        marks: What the two have in the image, pair by pair, see `Kind.marks`; not recorded.

    """

    legs: tuple[str, ...]
    tier: str
    case: str
    what: str
    figures: Mapping[str, Any]
    judgement: Judgement
    counts: bool = True
    limits: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    histogram: Mapping[str, int] = field(default_factory=dict)
    marks: Sequence[tuple[Mark | None, Mark | None]] = field(default=(), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        where = {"legs": "-".join(self.legs), "tier": self.tier, "case": self.case, "what": self.what}
        rest: dict[str, Any] = {"counts": self.counts, "limits": dict(self.limits)}
        rest |= {"rows": tuple(map(dict, self.rows))} if self.rows else {}
        rest |= {"histogram": dict(self.histogram)} if self.histogram else {}
        return {**where, "figures": dict(self.figures), **asdict(self.judgement), **rest}


@dataclass(frozen=True)
class Verification:
    """What came out of a comparison; the record, the text and the evidence are derived from it.

    Attributes:
        seal: What the file was meant to say about itself, as JSON.
        reference: The reference, with its cases and limits.
        legs: Every leg of the table, with what became of it.
        comparisons: Everything that was compared.
        limits: What each leg that ran may differ by in each case, by its name.

    """

    seal: Mapping[str, Any]
    reference: Reference
    legs: tuple[LegRun, ...]
    comparisons: tuple[Comparison, ...]
    limits: Mapping[str, Sequence[Limits]]

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
    seal: Mapping[str, Any],
    sealed: Mapping[str, Any] | None,
    subject: Subject,
    runs: Sequence[LegRun],
    structure: Sequence[Comparison] = (),
) -> Verification:
    """Compare every leg that ran with those that its row names.

    Args:
        seal: What the file was meant to say about itself, as JSON.
        sealed: What it does say; None where there is no file.
        subject: What was run.
        runs: The legs.
        structure: What the file consists of, as compared with what it may.

    """
    reference = subject.reference
    found = [] if sealed is None else _compare_seal(seal, sealed)
    found += [*structure, *_judge_algebra(reference), *_judge_spreads(reference), *map(_judge_run, _failed(runs))]
    ran = {run.leg.name: run for run in runs if run.ran}
    limits = {name: run.leg.limits(subject) for name, run in ran.items() if run.leg.against}
    for name, run in ran.items():
        for first in run.leg.against:
            if first in ran:
                found += compare_legs(reference, ran[first], run, limits[name])
        found += _judge_batches(reference, run)
    return Verification(seal, reference, tuple(runs), tuple(found), limits)


def compare_legs(reference: Reference, first: LegRun, second: LegRun, limits: Sequence[Limits]) -> list[Comparison]:
    """Compare two legs: each output of each case, then the results.

    Args:
        reference: The reference, for the cases, and to decode with its thresholds moved.
        first: The leg that is taken for right.
        second: The other.
        limits: What they may differ by, in each case.

    """
    legs, counts = (first.leg.name, second.leg.name), first.leg.counts and second.leg.counts
    found = []
    for case, right, other, limit in zip(reference.cases, first.cases, second.cases, limits, strict=True):
        for name, expected in right.outputs.items():
            stats = measure_tensor(expected, other.outputs[name])
            judgement = judge_tensor(stats, limit.tensors[name])
            allowed = _allowed(stats, limit.tensors[name])
            spread = error_histogram(expected, other.outputs[name])
            figures = asdict(stats)
            found.append(
                Comparison(legs, "tensors", case.name, name, figures, judgement, counts, allowed, histogram=spread)
            )
        decoded = {name: float(getattr(limit.decoded, name)) for name in figure_names(limit.decoded)}
        for i in range(len(case.regions)):
            made = _compare_results(reference, case, i, (right, other), limit)
            about = Comparison(legs, "decoded", case.name, f"image {i + 1}", *made[:2], counts, decoded)
            found.append(replace(about, rows=made.rows, marks=made.marks))
    return found


def _allowed(stats: TensorStats, limit: TensorLimit) -> dict[str, float]:
    """Return what the figures of an output may be."""
    rms = {} if math.isinf(limit.rms) else {"rms": limit.rms}
    return {"max_abs": limit.allowed(stats.largest), **rms}


class _Compared(NamedTuple):
    """Two results of one image: their figures, verdict, items, and where these are."""

    figures: dict[str, Any]
    judgement: Judgement
    rows: Sequence[Mapping[str, Any]]
    marks: Sequence[tuple[Mark | None, Mark | None]]


def _compare_results(
    reference: Reference, case: CaseReference, index: int, pair: tuple[LegCase, LegCase], limits: Limits
) -> _Compared:
    """Compare what two legs make of one region."""
    kind, gate = get_kind(reference.spec.kind), get_gate_kind(reference.spec.kind)
    best = case.best[index]
    expected, result = (leg.results[index] for leg in pair)
    decode = partial(reference.decoder, transform=case.transforms[index])
    variants = partial(kind.vary, decode, row(pair[0].outputs, index), best, reference.decoder.params, limits.decoded)
    figures: dict[str, Any] = {"image": index}
    if gate.candidates is not None:
        figures["candidates"] = "best" if best else "over the threshold"
    stats = kind.measure(expected, result, variants)
    figures |= stats.figures()
    judgement = Judgement("uninformative", ("there is nothing to compare",))
    if len(expected):
        judgement = kind.judge(stats, limits.decoded)
    rows = [{name: _short(value) for name, value in entry.items()} for entry in kind.items(stats)]
    return _Compared(figures, judgement, rows, kind.marks(expected, result, stats))


def _short(value: Any) -> Any:  # noqa: ANN401
    """Return a number with the digits that a table needs."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _failed(runs: Sequence[LegRun]) -> list[LegRun]:
    return [run for run in runs if run.status == "failed"]


def _judge_run(run: LegRun) -> Comparison:
    """Return the comparison that could not be made, since there is nothing to compare."""
    judgement = Judgement("failed", (f"it cannot be run: {run.reason}",))
    return Comparison((*run.leg.against[:1], run.leg.name), "run", "", run.leg.backend, {}, judgement, run.leg.counts)


def _judge_algebra(reference: Reference) -> list[Comparison]:
    """Judge the network's form for export against the network, both in float64.

    What float32 rounds, float64 rounds 2^29 times finer; a thousand such roundings are still nothing that shows. A form
    whose own code rounds to float32 is held to the limits of that.
    """
    found = []
    tensors = {} if reference.algebra is None else reference.algebra.tensors
    for name, stats in tensors.items():
        largest = max(stats.largest, reference.floor[name].largest, 1.0)
        limit = _FINE * max(reference.floor[name].max_abs, SMALLEST_RELATIVE * largest)
        if reference.algebra is not None and not reference.algebra.fine:
            limit = reference.limits.tensors[name].max_abs
        judgement = judge_tensor(stats, TensorLimit(limit))
        figures = {"max_abs": stats.max_abs}
        found.append(Comparison(("torch",), "algebra", "", name, figures, judgement, limits={"max_abs": limit}))
    return found


def _judge_batches(reference: Reference, run: LegRun) -> list[Comparison]:
    """Judge rows of batches against the same rows alone."""
    found = []
    for entry in run.batches:
        limit = reference.cases[entry.case].limits.tensors[entry.what]
        figures = {"rows": entry.size, "equal": entry.equal, "max_abs": entry.stats.max_abs}
        judgement = judge_tensor(entry.stats, limit)
        allowed = {"max_abs": limit.allowed(entry.stats.largest)}
        case = f"batch of {entry.size}"
        found.append(
            Comparison((run.leg.name,), "batches", case, entry.what, figures, judgement, run.leg.counts, allowed)
        )
    return found


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
        rows = np.concatenate([case.outputs[name] for case in reference.cases if case.regions]).astype(np.float64)
        with np.errstate(invalid="ignore"):
            spread = float(np.sqrt(rows.var(axis=0).mean())) if len(rows) > 1 else float(rows.std())
        judgement = judge_spread(name, spread, limit, reference.floor[name])
        found.append(Comparison(("torch",), "spread", "", name, {"spread": spread}, judgement))
    return found
