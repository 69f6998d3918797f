"""The reference of a comparison: the network as loaded, in PyTorch on the CPU, on every case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...runtimes.backends.registry import open_backend
from ...runtimes.parity.limits import Limits, apply_tolerances
from .kinds.base import Decoder
from .kinds.registry import get_gate_kind
from .rounding import own_rounding, row, tensor_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from ...models.results import Result
    from ...models.spec import ModelSpec, Plan
    from ...runtimes.backends.base import Array, Backend
    from ...runtimes.parity.tensors import TensorStats
    from ...runtimes.predictor import Region
    from .probes import Case


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
        regions: The images, or parts of them.
        inputs: (N, 3, H, W) float32 network input, by the model's own preprocessing.
        transforms: What maps each region's results back.
        outputs: Outputs of the network, by name.
        results: Decoded from them, one per region.
        best: For each region, the number of best candidates taken, or None where the score threshold was applied.

    """

    name: str
    regions: list[Region]
    inputs: Array
    transforms: list[Any]
    outputs: Mapping[str, Array]
    results: list[Result]
    best: list[int | None]


@dataclass(frozen=True)
class Reference:
    """What other legs are compared with.

    Attributes:
        decoder: The model's postprocessing with its own parameters and labels.
        preprocess: Parameters of its preprocessing.
        cases: What it made of each case.
        floor: Its own rounding error, by output.
        limits: What the exported file may differ by.

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
    references = [_run_case(decoder, plan, backend, case, untrained=untrained) for case in cases]
    floor = own_rounding(decoder, references, network)
    limits = Limits({name: tensor_limit(stats) for name, stats in floor.tensors.items()}, floor.decoded)
    return Reference(decoder, plan.preprocess, references, floor.tensors, apply_tolerances(limits, tolerances))


def _run_case(decoder: Decoder, plan: Plan, backend: Backend, case: Case, *, untrained: bool) -> CaseReference:
    spec = decoder.spec
    prepared = [spec.preprocess(region.image, plan.preprocess, **region.place()) for region in case.regions]
    inputs = np.stack([array for array, _ in prepared])
    transforms = [transform for _, transform in prepared]
    outputs = backend.run({spec.input_name: inputs})
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
    return CaseReference(case.name, case.regions, inputs, transforms, outputs, results, best)


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
