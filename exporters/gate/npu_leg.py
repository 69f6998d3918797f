"""The third leg: the network on an Ascend NPU, at strict and at production precision."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ...models.lazy import import_torch
from ...runtimes.backends.registry import open_backend
from ...runtimes.load import signature_of
from ...runtimes.predictor import Predictor
from ..report.record import comparisons_to_dict, limits_to_dict
from .parity import compare_legs, measure_rounding, run_leg
from .policy import NPU_SAFETY, npu_limits, rounding_npu_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from ...runtimes.backends.base import Array
    from ...runtimes.parity.measure import TensorStats
    from .parity import Comparison, LegCase, Reference
    from .policy import DecodedLimit

# With HF32 off, where the device has it; and as the device computes when nothing is said.
PRECISIONS = ("strict", "production")
# HF32 has the exponent of float32 and 10 stored bits of its mantissa: 13 fewer.
_DROPPED_BITS = 13


class NpuRun(NamedTuple):
    """What an NPU made of the cases.

    Attributes:
        device: Such as "npu:0".
        settings: What the device, its software and its switches were, by precision.
        legs: What it made of each case, by precision.

    """

    device: str
    settings: dict[str, dict[str, Any]]
    legs: dict[str, list[LegCase]]


def run_npu(reference: Reference, network: nn.Module, device: str | None = None) -> NpuRun:
    """Run the NPU's leg: the fused network of the model, with the reference's own preprocessing and decoding.

    Args:
        reference: The PyTorch leg.
        network: As loaded.
        device: "npu" or "npu:N"; None is the first.

    """
    spec, decoder = reference.spec, reference.decoder
    settings, legs = {}, {}
    for precision in PRECISIONS:
        backend = open_backend(
            "npu", spec.fuse(network), device=device, precision=precision, signature=signature_of(spec)
        )
        with Predictor(spec, backend, reference.preprocess, decoder.params, decoder.labels) as predictor:
            legs[precision] = run_leg(reference, predictor)
            settings[precision] = dict(backend.settings)
            name = backend.device
    return NpuRun(name, settings, legs)


def npu_status(run: NpuRun) -> dict[str, Any]:
    """Return what a record says about the device of a leg that ran."""
    settings = run.settings[PRECISIONS[0]]
    return {"device": run.device, "soc": settings["soc"], **({"simulated": True} if settings["simulated"] else {})}


def compare_npu(
    reference: Reference, onnx: Sequence[LegCase], run: NpuRun, effect: Effect
) -> tuple[list[Comparison], dict[str, Any]]:
    """Compare the NPU's leg with both others.

    Args:
        reference: The PyTorch leg.
        onnx: The exported file's leg.
        run: The NPU's.
        effect: From `hf32_effect`.

    Returns:
        The comparisons at strict precision, which count, and for the record: settings, the limits of both precisions,
        and the verdict and comparisons at production precision, which do not.

    """
    limits = {
        "strict": npu_limits(reference.limits),
        "production": rounding_npu_limits(reference.limits, effect.tensors, effect.decoded),
    }
    found = {
        precision: compare_legs(reference, reference.leg, run.legs[precision], limits[precision], "torch-npu")
        + compare_legs(reference, onnx, run.legs[precision], limits[precision], "onnx-npu")
        for precision in PRECISIONS
    }
    failed = any(entry.judgement.verdict != "passed" for entry in found["production"])
    content = {
        "settings": run.settings,
        "limits": {precision: limits_to_dict(limits[precision]) for precision in PRECISIONS},
        "hf32_effect": effect.to_dict(),
        "production": {
            "verdict": "failed" if failed else "passed",
            "comparisons": comparisons_to_dict(found["production"]),
        },
    }
    return found["strict"], content


class Effect(NamedTuple):
    """What rounding changes in the reference.

    Attributes:
        tensors: By output.
        decoded: Limits of decoded results that allow for it.

    """

    tensors: Mapping[str, TensorStats]
    decoded: DecodedLimit

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "tensors": {name: asdict(stats) for name, stats in self.tensors.items()},
            "decoded": asdict(self.decoded),
        }


def hf32_effect(reference: Reference, network: nn.Module) -> Effect:
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

    return Effect(*measure_rounding(reference.decoder, reference.cases, run, NPU_SAFETY, exact=False))


def round_to_hf32(value: Tensor) -> Tensor:
    """Round float32 numbers to HF32, halves to even."""
    torch = import_torch()
    bits = value.contiguous().view(torch.int32)
    half = (1 << (_DROPPED_BITS - 1)) - 1
    odd = (bits >> _DROPPED_BITS) & 1
    rounded: Tensor = ((bits + half + odd) >> _DROPPED_BITS << _DROPPED_BITS).view(torch.float32)
    return rounded
