"""The reference of a comparison: the network as loaded, in PyTorch on the CPU, on every case."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from ...models.forms import RAW
from ...runtimes.backends.registry import open_backend
from ...runtimes.parity.decoder import Decoder
from ...runtimes.parity.limits import Limits, apply_tolerances
from .drive import driven_inputs
from .kept import key_of, network_key, read, write
from .kinds.registry import get_gate_kind
from .memory import trim
from .rounding import (
    SAFETY,
    case_limits,
    common_limits,
    common_rounding,
    measure_algebra,
    measure_rounding,
    rounding_from_dict,
    row,
    run_exactly,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from ...models.results import Result
    from ...models.spec import ModelSpec, Plan
    from ...runtimes.backends.base import Array, Backend
    from ...runtimes.job import Region
    from ...runtimes.parity.tensors import TensorStats
    from .probes import Case
    from .rounding import Algebra, Rounding


# Another way to derive limits is another version: what was measured for the last one is not taken for it.
_VERSION = 3
_UNKNOWN: Any = None  # the limits of a case that is yet to be compared with the exact one


class LegCase(NamedTuple):
    """What one leg makes of one case.

    Attributes:
        outputs: Outputs of its network, by name, for the reference's inputs.
        results: Results of its whole pipeline from the images on, one per region.

    """

    outputs: Mapping[str, Array]
    results: Sequence[Result]


class CaseReference(NamedTuple):
    """What the reference makes of one case.

    Attributes:
        name: Name of the case.
        regions: The images, or parts of them; none where the inputs come from no image.
        inputs: (N, 3, H, W) float32 network input, by the model's own preprocessing.
        transforms: What maps each region's results back.
        outputs: Outputs of the network, by name.
        results: Decoded from them, one per region.
        best: For each region, the number of best candidates taken, or None where the score threshold was applied.
        limits: What the exported file may differ by in this case.

    """

    name: str
    regions: list[Region]
    inputs: Array
    transforms: list[Any]
    outputs: Mapping[str, Array]
    results: list[Result]
    best: list[int | None]
    limits: Limits


@dataclass(frozen=True)
class Reference:
    """What other legs are compared with.

    Attributes:
        decoder: The model's postprocessing with its own parameters and labels.
        preprocess: Parameters of its preprocessing.
        cases: What it made of each case.
        floor: Its own rounding error in the first cases, by output.
        limits: What the exported file may differ by in cases whose rounding is of that size.
        algebra: How far the network in its form for export is from it in float64; None in older records.

    """

    decoder: Decoder
    preprocess: Any
    cases: list[CaseReference]
    floor: Mapping[str, TensorStats]
    limits: Limits
    algebra: Algebra | None

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        return self.decoder.spec

    @property
    def leg_cases(self) -> list[LegCase]:
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
    """Run the reference: the network as loaded, nothing fused, on the CPU.

    Args:
        spec: The model; its own preprocessing and postprocessing are used, not what is sealed in a file.
        plan: Parameters of both.
        network: In eval mode.
        cases: The images.
        untrained: Whether the weights are made up: then decoded results are the best candidates.
        tolerances: ``OUT:FIGURE=X`` overrides of the derived limits.

    """
    backend = open_backend("torch", network, signature=spec.signature)
    decoder = Decoder(spec, plan.postprocess, plan.labels)
    made = [_run_case(decoder, plan, backend, case, untrained=untrained) for case in cases]
    key = network_key(network)
    driven = driven_inputs(partial(spec.fuse, network), key, made[0].inputs[:1], *_value_range(spec, plan))
    trim()  # a search holds what it needs for gradients, and float64 is twice as large
    made += _driven_cases(spec, backend, driven, {len(case.inputs) for case in made})
    own, exact = _measure_exactly(decoder, network, key, made)
    trim()
    common = common_rounding(own)
    references = [
        case._replace(limits=apply_tolerances(case_limits(common, rounding, squeezed=spec.form != RAW), tolerances))
        for case, rounding in zip(made, own, strict=True)
    ]
    limits = apply_tolerances(common_limits(common), tolerances)
    algebra = measure_algebra(spec, network, made[0].inputs[:1], exact)
    trim()
    return Reference(decoder, plan.preprocess, references, common.tensors, limits, algebra)


def _run_case(decoder: Decoder, plan: Plan, backend: Backend, case: Case, *, untrained: bool) -> CaseReference:
    spec = decoder.spec
    prepared = [spec.preprocess(region.image, plan.preprocess, **region.place()) for region in case.regions]
    inputs = np.stack([array for array, _ in prepared])
    transforms = [transform for _, transform in prepared]
    outputs = _run_rows(spec, backend, inputs)
    candidates = get_gate_kind(spec.kind).candidates
    results: list[Result] = []
    best: list[int | None] = []
    for i, transform in enumerate(transforms):
        count = candidates if untrained else None
        result = decoder(row(outputs, i), transform, best=count)
        if not len(result) and count is None:
            count = candidates
            result = decoder(row(outputs, i), transform, best=count)
        results.append(result)
        best.append(count)
    return CaseReference(case.name, case.regions, inputs, transforms, outputs, results, best, _UNKNOWN)


def _run_rows(spec: ModelSpec, backend: Backend, inputs: Array) -> dict[str, Array]:
    """Run a network row by row: the reference must not depend on the batch, and a batch takes its memory at once."""
    rows = [backend.run({spec.input_name: inputs[i : i + 1]}) for i in range(len(inputs))]
    return {name: np.concatenate([outputs[name] for outputs in rows]) for name in rows[0]}


def _value_range(spec: ModelSpec, plan: Plan) -> tuple[float, float]:
    """Return the smallest and the largest value that preprocessing makes of a pixel."""
    flat = [np.full((64, 64, 3), value, dtype=np.uint8) for value in (0, 255)]
    values = [spec.preprocess(image, plan.preprocess)[0] for image in flat]
    return float(np.min(values)), float(np.max(values))


def _driven_cases(
    spec: ModelSpec, backend: Backend, driven: Mapping[str, Array], sizes: set[int]
) -> list[CaseReference]:
    """Return cases of the inputs that no image gives; where all others have as many rows, these have too."""
    fixed = next(iter(sizes)) if len(sizes) == 1 else None
    cases = []
    for name, inputs in driven.items():
        size = fixed or len(inputs)
        for first in range(0, len(inputs), size):
            part = np.resize(inputs[first : first + size], (size, *inputs.shape[1:]))
            title = name if size >= len(inputs) else f"{name} {first // size + 1}"
            outputs = _run_rows(spec, backend, part)
            cases.append(CaseReference(title, [], part, [], outputs, [], [], _UNKNOWN))
    return cases


class _Exact(NamedTuple):
    """What is known from float64: the reference's own error in each case, and its first row's exact outputs."""

    roundings: list[Rounding]
    first: Mapping[str, Array]


def _measure_exactly(decoder: Decoder, network: nn.Module, key: str, cases: Sequence[CaseReference]) -> _Exact:
    """Return what is known from float64, as it was measured before where it was.

    The same float32 outputs for the same inputs have the same error: whatever else changed, it is not these.
    """
    arrays = (array for case in cases for array in (case.inputs, *case.outputs.values()))
    words = (f"exact {_VERSION} {SAFETY}", key, repr(decoder.params), repr([len(case.regions) for case in cases]))
    name = key_of(*words, arrays=arrays) + ".npz"
    with suppress(ValueError, TypeError, KeyError, OSError, EOFError, BadZipFile):
        with np.load(io.BytesIO(read(name) or b""), allow_pickle=False) as kept:
            entries = json.loads(kept["roundings"].tobytes())
            first = {output: kept[f"first/{output}"] for output in decoder.spec.output_names}
        return _Exact([rounding_from_dict(entry, decoder.spec.kind) for entry in entries], first)
    exact = run_exactly(network, [case.inputs for case in cases])
    pairs = zip(cases, exact, strict=True)
    roundings = [measure_rounding(decoder, case, outputs, SAFETY, exact=True) for case, outputs in pairs]
    first = row(exact[0], 0)
    text = json.dumps([rounding.to_dict() for rounding in roundings]).encode()
    content = io.BytesIO()
    arrays_by_name = {f"first/{output}": values for output, values in first.items()}
    np.savez(content, allow_pickle=False, roundings=np.frombuffer(text, np.uint8), **arrays_by_name)
    write(name, content.getvalue())
    return _Exact(roundings, first)


def decode_again(reference: Reference, outputs: Sequence[Mapping[str, Array]]) -> list[LegCase]:
    """Return what a leg made of each case, from its stored outputs: decoded with the reference's parameters."""
    return [
        LegCase(stored, decode_rows(reference.decoder, stored, case.transforms, case.best))
        for case, stored in zip(reference.cases, outputs, strict=True)
    ]


def decode_rows(
    decoder: Decoder, outputs: Mapping[str, Array], transforms: Sequence[Any], best: Sequence[int | None]
) -> list[Result]:
    """Return the result of each row of a batch."""
    rows = enumerate(zip(transforms, best, strict=True))
    return [decoder(row(outputs, i), transform, best=count) for i, (transform, count) in rows]
