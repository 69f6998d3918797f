"""Limits from rounding: the reference's own error in float32, and what HF32 convolutions change in it."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...models.lazy import import_torch
from ...runtimes.parity.limits import SMALLEST_RELATIVE, Limits, TensorLimit, widest
from ...runtimes.parity.tensors import TensorStats, measure_tensor
from .kinds.registry import get_gate_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from ...runtimes.backends.base import Array
    from ...runtimes.parity.limits import DecodedLimit
    from .kinds.base import Decoder
    from .reference import CaseReference, Reference

# Two correct float32 computations of one network differ by a few times the rounding error of either; a planted fault
# of one percent in one tensor differs by hundreds of times. Ten keeps well clear of both.
SAFETY = 10.0
# An NPU adds in another order and approximates functions otherwise than a CPU: several times the usual noise is sound.
DEVICE_SAFETY = 4.0
# Rounding is measured on so many values of each output, or so many images.
_ENOUGH, _MOST_REGIONS = 1000, 8
# HF32 has the exponent of float32 and 10 stored bits of its mantissa: 13 fewer.
_DROPPED_BITS = 13


class Rounding(NamedTuple):
    """How the reference differs from another computation of its network.

    Attributes:
        tensors: Statistics by output.
        decoded: Limits of decoded results, derived from the same.

    """

    tensors: Mapping[str, TensorStats]
    decoded: DecodedLimit

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        tensors = {name: asdict(stats) for name, stats in self.tensors.items()}
        return {"tensors": tensors, "decoded": asdict(self.decoded)}


def measure_rounding(
    decoder: Decoder,
    cases: Sequence[CaseReference],
    run: Callable[[Array], Mapping[str, Array]],
    safety: float,
    *,
    exact: bool,
) -> Rounding:
    """Measure how the reference differs from another computation of its network, and derive limits of results.

    A detector has thousands of outputs, and one image tells how large errors get. A few class scores of one image do
    not: so many images are measured that there are enough numbers.

    Args:
        decoder: The reference's postprocessing.
        cases: What it made of each case.
        run: (N, 3, H, W) float32 -> outputs by name, the other computation.
        safety: See `GateKind.derive`.
        exact: Whether the other computation is the exact one; else the reference is.

    """
    regions = _measured_regions(cases)
    other = run(np.concatenate([case.inputs[i : i + 1] for case, i in regions]))
    own = {name: np.concatenate([case.outputs[name][i : i + 1] for case, i in regions]) for name in other}
    stats = {name: measure_tensor(*((other[name], own[name]) if exact else (own[name], other[name]))) for name in own}
    rounded = {name: np.asarray(value, np.float32) for name, value in other.items()}
    first, second = (rounded, own) if exact else (own, rounded)
    derive = get_gate_kind(decoder.spec.kind).derive
    limits = [
        derive(partial(decoder, transform=case.transforms[i]), row(first, k), row(second, k), safety)
        for k, (case, i) in enumerate(regions)
    ]
    return Rounding(stats, widest(limits))


def _measured_regions(cases: Sequence[CaseReference]) -> list[tuple[CaseReference, int]]:
    """Return the first regions that together have `_ENOUGH` values of each output, as cases and indices."""
    regions = [(case, i) for case in cases for i in range(len(case.regions))]
    fewest = min(value[0].size for value in cases[0].outputs.values())
    return regions[: max(1, min(_MOST_REGIONS, math.ceil(_ENOUGH / fewest)))]


def row(outputs: Mapping[str, Array], index: int) -> dict[str, Array]:
    """Return one row of a batch of outputs, still as a batch."""
    return {name: values[index : index + 1] for name, values in outputs.items()}


def own_rounding(decoder: Decoder, cases: Sequence[CaseReference], network: nn.Module) -> Rounding:
    """Measure the reference's own rounding error: float32 against float64."""
    return measure_rounding(decoder, cases, partial(_run_exactly, network), SAFETY, exact=True)


def _run_exactly(network: nn.Module, inputs: Array) -> dict[str, Any]:
    """Run a network in float64."""
    torch = import_torch()
    with torch.inference_mode():
        # Converted there and back: float32 values survive it unchanged, and a copy of a large network is saved.
        outputs = {name: value.numpy() for name, value in network.double()(torch.from_numpy(inputs).double()).items()}
        network.float()
    return outputs


def tensor_limit(floor: TensorStats) -> TensorLimit:
    """Derive the limit of an output from the rounding error of its reference (*floor*: float32 against float64)."""
    smallest = SMALLEST_RELATIVE * (floor.largest or 1.0)
    derived = f"{SAFETY:g} x {floor.max_abs:.2e}, the reference's own rounding error (float32 against float64)"
    if SAFETY * floor.max_abs < smallest:
        derived = f"{smallest:.2e}, 16 roundings of the largest value"
    return TensorLimit(max(SAFETY * floor.max_abs, smallest), derived=derived)


def strict_device_limits(limits: Limits, device: DecodedLimit) -> Limits:
    """Derive the limits of a device that computes in float32 from those of the exported file.

    Args:
        limits: What the exported file may differ by.
        device: See `GateKind.device`.

    """
    tensors = {
        name: TensorLimit(DEVICE_SAFETY * limit.max_abs, limit.rtol, f"{DEVICE_SAFETY:g} x ({limit.derived})")
        for name, limit in limits.tensors.items()
    }
    return Limits(tensors, device)


def rounding_device_limits(limits: Limits, device: DecodedLimit, effect: Rounding) -> Limits:
    """Derive the limits of a device that rounds what goes into convolutions.

    Args:
        limits: What the exported file may differ by.
        device: See `GateKind.device`.
        effect: What such rounding changes in the reference.

    """
    tensors = {
        name: TensorLimit(
            max(DEVICE_SAFETY * stats.max_abs, limits.tensors[name].max_abs),
            derived=f"{DEVICE_SAFETY:g} x {stats.max_abs:.2e}, what HF32 convolutions change in the reference",
        )
        for name, stats in effect.tensors.items()
    }
    return Limits(tensors, widest([device, effect.decoded]))


def hf32_effect(reference: Reference, network: nn.Module) -> Rounding:
    """Measure what HF32 convolutions change: the reference with and without their inputs rounded."""
    torch = import_torch()

    def round_inputs(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(round_to_hf32(value) for value in inputs)

    copy = reference.spec.fuse(network)
    for module in copy.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.weight.data = round_to_hf32(module.weight.data)
            module.register_forward_pre_hook(round_inputs)

    def run(inputs: Array) -> dict[str, Any]:
        with torch.inference_mode():
            return {name: value.numpy() for name, value in copy(torch.from_numpy(inputs)).items()}

    return measure_rounding(reference.decoder, reference.cases, run, DEVICE_SAFETY, exact=False)


def round_to_hf32(value: Tensor) -> Tensor:
    """Round float32 numbers to HF32, halves to even."""
    torch = import_torch()
    bits = value.contiguous().view(torch.int32)
    half = (1 << (_DROPPED_BITS - 1)) - 1
    odd = (bits >> _DROPPED_BITS) & 1
    rounded: Tensor = ((bits + half + odd) >> _DROPPED_BITS << _DROPPED_BITS).view(torch.float32)
    return rounded
