"""The gate: the network in PyTorch against the exported file, tensors and decoded results.

Running the legs is here; measuring is in `measure`, judging in `policy`, both of a kind of result in `kinds`, printing
in `render`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...models.lazy import import_torch
from ...runtimes.backends.torch import TorchBackend
from ...runtimes.parity.measure import TensorStats, measure_tensor
from .kinds import KINDS, Decoder
from .policy import SAFETY, Judgement, Limits, apply_tolerances, judge_spread, judge_tensor, tensor_limit, widest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from ...models.results import Result
    from ...models.spec import ModelSpec, Plan
    from ...runtimes.backends.registry import Array
    from ...runtimes.predictor import Predictor, View
    from .policy import DecodedLimit
    from .probes import Case


# Rounding is measured on so many values of each output, or so many pictures.
_ENOUGH, _MOST_VIEWS = 1000, 8


class CaseReference(NamedTuple):
    """What the PyTorch leg makes of one case.

    Attributes:
        name: Of the case.
        views: The pictures, or parts of them.
        inputs: (N, 3, H, W) float32 network input, by the model's own preprocessing.
        frames: What maps each view's results back.
        outputs: Of the network, by name.
        results: Decoded from them, one a view.
        best: For each view, the number of best candidates taken, or None where the score threshold was applied.

    """

    name: str
    views: list[View]
    inputs: Array
    frames: list[Any]
    outputs: Mapping[str, Array]
    results: list[Result]
    best: list[int | None]


class LegCase(NamedTuple):
    """What one leg makes of one case.

    Attributes:
        outputs: Of its network, by name, for the reference's inputs.
        results: Of its whole pipeline from the pictures on, one a view.

    """

    outputs: Mapping[str, Array]
    results: list[Result]


@dataclass(frozen=True)
class Comparison:
    """One compared thing: its figures and its verdict.

    Attributes:
        legs: The two that were compared, such as "torch-onnx"; "" where it is about one.
        tier: "seal", "spread", "tensors" or "decoded".
        case: Name of the case.
        what: The output, the picture, or the sealed field.
        figures: Measured.
        judgement: Verdict and reasons.

    """

    legs: str
    tier: str
    case: str
    what: str
    figures: Mapping[str, Any]
    judgement: Judgement

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        where = {"legs": self.legs, "tier": self.tier, "case": self.case, "what": self.what}
        return {**where, "figures": dict(self.figures), **asdict(self.judgement)}


@dataclass(frozen=True)
class Reference:
    """The PyTorch leg.

    Attributes:
        decoder: The model's postprocessing with its own parameters and labels.
        preprocess: Parameters of its preprocessing.
        cases: What it made of each case.
        floor: Its own rounding error, by output.
        limits: What another leg may differ by.

    """

    decoder: Decoder
    preprocess: Any
    cases: list[CaseReference]
    floor: Mapping[str, TensorStats]
    limits: Limits

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.decoder.spec

    @property
    def leg(self) -> list[LegCase]:
        """What it made of each case, as of any leg."""
        return [LegCase(case.outputs, case.results) for case in self.cases]


def make_reference(
    spec: ModelSpec,
    plan: Plan,
    network: nn.Module,
    cases: Sequence[Case],
    *,
    untrained: bool,
    tolerances: Sequence[str],
) -> Reference:
    """Run the PyTorch leg: the network as loaded, nothing fused, on the CPU.

    Args:
        spec: The model; its own preprocessing and postprocessing are used, not what is sealed in a file.
        plan: Parameters of both.
        network: In eval mode.
        cases: The pictures.
        untrained: Whether the weights are made up: then decoded results are the best candidates.
        tolerances: ``OUT:FIGURE=X`` overrides of the derived limits.

    """
    backend = TorchBackend(network)
    decoder = Decoder(spec, plan.postprocess, plan.labels)
    references = [_run_case(decoder, plan, backend, case, untrained=untrained) for case in cases]
    floor, decoded = measure_rounding(decoder, references, partial(_run_exactly, network), SAFETY, exact=True)
    limits = Limits({name: tensor_limit(stats) for name, stats in floor.items()}, decoded)
    limits = apply_tolerances(limits, tolerances)
    return Reference(decoder, plan.preprocess, references, floor, limits)


def compare_file(
    expected: Mapping[str, Any], reference: Reference, candidate: Predictor
) -> tuple[list[Comparison], list[LegCase]]:
    """Compare an exported file with the reference; also return what it made of the cases.

    Args:
        expected: What the file was meant to say about itself.
        reference: The PyTorch leg.
        candidate: The file; it knows nothing but what is sealed in it.

    """
    sealed = json.loads(candidate.seal.to_json()) if candidate.seal else {}
    leg = run_leg(reference, candidate)
    found = _compare_seal(expected, sealed) + _judge_spreads(reference)
    return found + compare_legs(reference, reference.leg, leg, reference.limits, "torch-onnx"), leg


def run_leg(reference: Reference, candidate: Predictor) -> list[LegCase]:
    """Run another leg: the network alone on the reference's inputs, then everything from the pictures on.

    Args:
        reference: The PyTorch leg.
        candidate: The other leg; an exported file's knows nothing but what is sealed in it.

    """
    decoder = Decoder(candidate.spec, candidate.postprocess_params, candidate.labels)
    made = []
    for case in reference.cases:
        outputs = candidate.backend.run({reference.spec.input_name: case.inputs})
        inputs, frames = candidate.prepare(case.views)
        own = outputs
        if not np.array_equal(inputs[: len(case.inputs)], case.inputs):
            own = candidate.backend.run({reference.spec.input_name: inputs})
        results = [decoder(row(own, i), frames[i], best=best) for i, best in enumerate(case.best)]
        made.append(LegCase(outputs, results))
    return made


def compare_legs(
    reference: Reference, first: Sequence[LegCase], second: Sequence[LegCase], limits: Limits, legs: str
) -> list[Comparison]:
    """Compare two legs: each output of each case, then the results.

    Args:
        reference: The PyTorch leg, for the cases, and to decode with its thresholds moved.
        first: The leg that is taken for right.
        second: The other.
        limits: What they may differ by.
        legs: Their names.

    """
    found = []
    for case, right, other in zip(reference.cases, first, second, strict=True):
        for name, expected in right.outputs.items():
            stats = measure_tensor(expected, other.outputs[name])
            judgement = judge_tensor(stats, limits.tensors[name])
            found.append(Comparison(legs, "tensors", case.name, name, asdict(stats), judgement))
        for i in range(len(case.views)):
            figures, judgement = _compare_results(reference, case, i, (right, other), limits)
            found.append(Comparison(legs, "decoded", case.name, f"picture {i + 1}", figures, judgement))
    return found


def _compare_results(
    reference: Reference, case: CaseReference, index: int, pair: tuple[LegCase, LegCase], limits: Limits
) -> tuple[dict[str, Any], Judgement]:
    """Compare what two legs make of one picture."""
    kind = KINDS[reference.spec.kind]
    best = case.best[index]
    expected, result = (leg.results[index] for leg in pair)
    decode = partial(reference.decoder, frame=case.frames[index])
    variants = partial(kind.vary, decode, row(pair[0].outputs, index), best, reference.decoder.params, limits.decoded)
    figures: dict[str, Any] = {"picture": index}
    if kind.best is not None:
        figures["candidates"] = "best" if best else "over the threshold"
    figures |= kind.measure(expected, result)
    if not len(expected):
        return figures, Judgement("uninformative", ("there is nothing to compare",))
    return figures, kind.judge(expected, result, limits.decoded, variants)


def _compare_seal(expected: Mapping[str, Any], sealed: Mapping[str, Any]) -> list[Comparison]:
    """Compare what the file says about itself with what it was meant to say, field by field."""
    found = []
    for name in sorted({*expected, *sealed}):
        same = expected.get(name) == sealed.get(name)
        reasons = () if same else (f"sealed {sealed.get(name)!r} instead of {expected.get(name)!r}",)
        found.append(Comparison("", "seal", "", name, {}, Judgement("passed" if same else "failed", reasons)))
    return found


def _run_case(decoder: Decoder, plan: Plan, backend: TorchBackend, case: Case, *, untrained: bool) -> CaseReference:
    spec = decoder.spec
    prepared = [spec.preprocess(view.image, plan.preprocess, **view.place()) for view in case.views]
    inputs = np.stack([array for array, _ in prepared])
    frames = [frame for _, frame in prepared]
    outputs = backend.run({spec.input_name: inputs})
    candidates = KINDS[spec.kind].best
    results: list[Result] = []
    best: list[int | None] = []
    for i, frame in enumerate(frames):
        count = candidates if untrained else None
        result = decoder(row(outputs, i), frame, best=count)
        if not len(result) and count is None:
            count = candidates
            result = decoder(row(outputs, i), frame, best=count)
        results.append(result)
        best.append(count)
    return CaseReference(case.name, case.views, inputs, frames, outputs, results, best)


def _run_exactly(network: nn.Module, inputs: Array) -> dict[str, Any]:
    """Run a network in float64."""
    torch = import_torch()
    with torch.inference_mode():
        # Converted there and back: float32 values survive it unchanged, and a copy of a large network is saved.
        outputs = {name: value.numpy() for name, value in network.double()(torch.from_numpy(inputs).double()).items()}
        network.float()
    return outputs


def measure_rounding(
    decoder: Decoder,
    cases: Sequence[CaseReference],
    run: Callable[[Array], Mapping[str, Array]],
    safety: float,
    *,
    exact: bool,
) -> tuple[dict[str, TensorStats], DecodedLimit]:
    """Measure how the reference differs from another computation of its network, and derive limits of results.

    A detector has thousands of outputs, and one picture tells how large errors get. A few class scores of one picture
    do not: so many pictures are measured that there are enough numbers.

    Args:
        decoder: The reference's postprocessing.
        cases: What it made of each case.
        run: (N, 3, H, W) float32 -> outputs by name, the other computation.
        safety: See `Kind.derive`.
        exact: Whether the other computation is the exact one; else the reference is.

    """
    views = _measured_views(cases)
    other = run(np.concatenate([case.inputs[i : i + 1] for case, i in views]))
    own = {name: np.concatenate([case.outputs[name][i : i + 1] for case, i in views]) for name in other}
    stats = {name: measure_tensor(*((other[name], own[name]) if exact else (own[name], other[name]))) for name in own}
    rounded = {name: np.asarray(value, np.float32) for name, value in other.items()}
    first, second = (rounded, own) if exact else (own, rounded)
    derive = KINDS[decoder.spec.kind].derive
    limits = [
        derive(partial(decoder, frame=case.frames[i]), row(first, k), row(second, k), safety)
        for k, (case, i) in enumerate(views)
    ]
    return stats, widest(limits)


def _measured_views(cases: Sequence[CaseReference]) -> list[tuple[CaseReference, int]]:
    """Return the first views that together have `_ENOUGH` values of each output, as cases and indices."""
    views = [(case, i) for case in cases for i in range(len(case.views))]
    fewest = min(value[0].size for value in cases[0].outputs.values())
    return views[: max(1, min(_MOST_VIEWS, math.ceil(_ENOUGH / fewest)))]


def _judge_spreads(reference: Reference) -> list[Comparison]:
    """Judge whether each output tells pictures apart; a constant one would agree whatever else were wrong."""
    found = []
    for name, limit in reference.limits.tensors.items():
        rows = np.concatenate([case.outputs[name] for case in reference.cases]).astype(np.float64)
        with np.errstate(invalid="ignore"):
            spread = float(np.sqrt(rows.var(axis=0).mean())) if len(rows) > 1 else float(rows.std())
        judgement = judge_spread(name, spread, limit, reference.floor[name])
        found.append(Comparison("torch", "spread", "", name, {"spread": spread}, judgement))
    return found


def row(outputs: Mapping[str, Array], index: int) -> dict[str, Array]:
    """Return one row of a batch of outputs, still as a batch."""
    return {name: values[index : index + 1] for name, values in outputs.items()}
