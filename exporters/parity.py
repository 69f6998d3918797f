"""The gate: the network in PyTorch against the exported file, tensors and decoded results.

Running the legs is here; measuring is in `measure`, judging in `policy`, printing in `render`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..models.lazy import import_torch
from ..runtimes.torch_backend import TorchBackend
from .measure import TensorStats, match_detections, measure_tensor
from .policy import (
    DetectionLimit,
    Judgement,
    Limits,
    apply_tolerances,
    detection_limit,
    judge_detections,
    judge_spread,
    judge_tensor,
    tensor_limit,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from ..models.results import Detections
    from ..models.spec import ModelSpec, Plan
    from ..runtimes.backend import Array
    from ..runtimes.predictor import Predictor
    from .probes import Case

# Untrained networks and empty pictures: so many best candidates are compared instead of those over the threshold.
BEST = 100
_FLOOR_CANDIDATES = 1000
# Overlaps nearer than this to the suppression threshold may fall on either side of it.
_IOU_SLACK = 2e-3


class CaseReference(NamedTuple):
    """What the PyTorch leg makes of one case.

    Attributes:
        name: Of the case.
        pictures: (h, w, 3) uint8 BGR each.
        inputs: (N, 3, H, W) float32 network input, by the model's own preprocessing.
        frames: What maps each picture's results back.
        outputs: Of the network, by name.
        results: Decoded from them, one a picture.
        best: For each picture, the number of best candidates taken, or None where the score threshold was applied.

    """

    name: str
    pictures: list[NDArray[np.uint8]]
    inputs: Array
    frames: list[Any]
    outputs: Mapping[str, Array]
    results: list[Detections]
    best: list[int | None]


@dataclass(frozen=True)
class Comparison:
    """One compared thing: its figures, its limits, its verdict.

    Attributes:
        tier: "seal", "spread", "tensors" or "decoded".
        case: Name of the case.
        what: The output, the picture, or the sealed field.
        figures: Measured.
        judgement: Verdict and reasons.

    """

    tier: str
    case: str
    what: str
    figures: Mapping[str, Any]
    judgement: Judgement

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"tier": self.tier, "case": self.case, "what": self.what, "figures": dict(self.figures)} | asdict(
            self.judgement
        )


@dataclass(frozen=True)
class Reference:
    """The PyTorch leg.

    Attributes:
        spec: The model.
        preprocess: Parameters of its preprocessing.
        postprocess: Parameters of its postprocessing.
        labels: Class names.
        cases: What it made of each case.
        floor: Its own rounding error, by output.
        limits: What another leg may differ by.

    """

    spec: ModelSpec
    preprocess: Any
    postprocess: Any
    labels: tuple[str, ...]
    cases: list[CaseReference]
    floor: Mapping[str, TensorStats]
    limits: Limits


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
    references = [_run_case(spec, plan, backend, case, untrained=untrained) for case in cases]
    floor, decoded = _noise_floor(spec, plan, network, references[0])
    limits = Limits({name: tensor_limit(stats) for name, stats in floor.items()}, decoded)
    limits = apply_tolerances(limits, tolerances)
    return Reference(spec, plan.preprocess, plan.postprocess, plan.labels, references, floor, limits)


def compare(reference: Reference, candidate: Predictor) -> list[Comparison]:
    """Compare another leg with the reference: first the network alone, then everything from the picture on.

    Args:
        reference: The PyTorch leg.
        candidate: The other leg; an exported file's knows nothing but what is sealed in it.

    """
    found = _judge_spreads(reference)
    for case in reference.cases:
        outputs = candidate.backend.run({reference.spec.input_name: case.inputs})
        for name, expected in case.outputs.items():
            stats = measure_tensor(expected, outputs[name])
            judgement = judge_tensor(stats, reference.limits.tensors[name])
            found.append(Comparison("tensors", case.name, name, asdict(stats), judgement))
        found += _compare_decoded(reference, case, candidate, outputs)
    return found


def compare_seal(expected: Mapping[str, Any], sealed: Mapping[str, Any]) -> list[Comparison]:
    """Compare what the file says about itself with what it was meant to say, field by field."""
    found = []
    for name in sorted({*expected, *sealed}):
        same = expected.get(name) == sealed.get(name)
        reasons = () if same else (f"sealed {sealed.get(name)!r} instead of {expected.get(name)!r}",)
        found.append(Comparison("seal", "", name, {}, Judgement("passed" if same else "failed", reasons)))
    return found


def _run_case(spec: ModelSpec, plan: Plan, backend: TorchBackend, case: Case, *, untrained: bool) -> CaseReference:
    prepared = [spec.preprocess(picture, plan.preprocess) for picture in case.pictures]
    inputs = np.stack([array for array, _ in prepared])
    frames = [frame for _, frame in prepared]
    outputs = backend.run({spec.input_name: inputs})
    results: list[Detections] = []
    best: list[int | None] = []
    for i, frame in enumerate(frames):
        one = row(outputs, i)
        count = BEST if untrained else None
        (result,) = spec.postprocess(one, [frame], plan.postprocess, plan.labels, best=count)
        if not len(result) and count is None:
            count = BEST
            (result,) = spec.postprocess(one, [frame], plan.postprocess, plan.labels, best=count)
        results.append(result)
        best.append(count)
    return CaseReference(case.name, case.pictures, inputs, frames, outputs, results, best)


def _noise_floor(
    spec: ModelSpec, plan: Plan, network: nn.Module, case: CaseReference
) -> tuple[dict[str, TensorStats], DetectionLimit]:
    """Measure the reference's own rounding error: the same network and picture in float32 and in float64."""
    torch = import_torch()
    inputs, frame, single = case.inputs[:1], case.frames[0], row(case.outputs, 0)
    with torch.inference_mode():
        # Converted there and back: float32 values survive it unchanged, and a copy of a large network is saved.
        exact = {name: value.numpy() for name, value in network.double()(torch.from_numpy(inputs).double()).items()}
        network.float()
    floor = {name: measure_tensor(exact[name], single[name]) for name in single}
    rounded = {name: value.astype(np.float32) for name, value in exact.items()}
    # All the best candidates, suppressed or not: the extremes of a few dozen boxes say little about other pictures.
    everything = replace(plan.postprocess, iou_threshold=1.0, max_detections=_FLOOR_CANDIDATES)
    pair = [
        spec.postprocess(outputs, [frame], everything, plan.labels, best=_FLOOR_CANDIDATES)[0]
        for outputs in (rounded, single)
    ]
    return floor, detection_limit(match_detections(*pair))


def _judge_spreads(reference: Reference) -> list[Comparison]:
    """Judge whether each output tells pictures apart; a constant one would agree whatever else were wrong."""
    found = []
    for name, limit in reference.limits.tensors.items():
        rows = np.concatenate([case.outputs[name] for case in reference.cases]).astype(np.float64)
        with np.errstate(invalid="ignore"):
            spread = float(np.sqrt(rows.var(axis=0).mean())) if len(rows) > 1 else float(rows.std())
        judgement = judge_spread(name, spread, limit, reference.floor[name])
        found.append(Comparison("spread", "", name, {"spread": spread}, judgement))
    return found


def _compare_decoded(
    reference: Reference, case: CaseReference, candidate: Predictor, outputs: Mapping[str, Array]
) -> list[Comparison]:
    """Compare whole pipelines: the candidate starts from the picture, with its own preprocessing and decoding."""
    inputs, frames = candidate.prepare(case.pictures)
    if not np.array_equal(inputs[: len(case.inputs)], case.inputs):
        outputs = candidate.backend.run({reference.spec.input_name: inputs})
    found = []
    for i, expected in enumerate(case.results):
        best = case.best[i]
        (result,) = candidate.spec.postprocess(
            row(outputs, i), [frames[i]], candidate.postprocess_params, candidate.labels, best=best
        )
        judgement = judge_detections(
            expected, result, reference.limits.decoded, partial(_threshold_variants, reference, case, i)
        )
        matching = match_detections(expected, result)
        figures = {
            "picture": i,
            "candidates": "best" if best else "over the threshold",
            "reference": len(expected),
            "candidate": len(result),
            "matched": len(matching.pairs),
            "max_score": max((pair.score for pair in matching.pairs), default=0.0),
            "max_px": max((pair.px for pair in matching.pairs), default=0.0),
            "min_iou": min((pair.iou for pair in matching.pairs), default=1.0),
        }
        if not len(expected):
            judgement = Judgement("uninformative", ("there is nothing to compare",))
        found.append(Comparison("decoded", case.name, f"picture {i + 1}", figures, judgement))
    return found


def _threshold_variants(reference: Reference, case: CaseReference, index: int) -> list[Detections]:
    """Decode the reference again with each threshold moved by the tolerance, up and down."""
    params, limit, best = reference.postprocess, reference.limits.decoded, case.best[index]
    variants = []
    for sign in (-1, 1):
        for changes in (
            {"score_threshold": params.score_threshold + sign * 2 * limit.score},
            {"iou_threshold": params.iou_threshold + sign * _IOU_SLACK},
        ):
            # Which candidates are the best hundred is a threshold too.
            count = None if best is None else best + (sign * 2 if "score_threshold" in changes else 0)
            moved = replace(params, **changes)
            outputs, frames = row(case.outputs, index), [case.frames[index]]
            variants += reference.spec.postprocess(outputs, frames, moved, reference.labels, best=count)
    return variants


def row(outputs: Mapping[str, Array], index: int) -> dict[str, Array]:
    """Return one row of a batch of outputs, still as a batch."""
    return {name: values[index : index + 1] for name, values in outputs.items()}
