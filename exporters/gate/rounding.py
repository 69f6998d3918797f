"""Limits from rounding: the reference's own error in float32, and what HF32 convolutions change in it."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...models.lazy import import_torch
from ...runtimes.kinds.registry import get_kind
from ...runtimes.parity.limits import SMALLEST_RELATIVE, Limits, TensorLimit, widest
from ...runtimes.parity.tensors import TensorStats, measure_tensor
from .kinds.registry import get_gate_kind
from .stored import check_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from ...models.spec import ModelSpec
    from ...runtimes.backends.base import Array
    from ...runtimes.parity.decoder import Decoder
    from ...runtimes.parity.limits import DecodedLimit
    from .reference import CaseReference, Reference

# Two correct float32 computations of one network differ by a few times the rounding error of either; a planted fault
# of one percent in one tensor differs by hundreds of times. Ten keeps well clear of both.
SAFETY = 10.0
# An NPU adds in another order and approximates functions otherwise than a CPU: several times the usual noise is sound.
DEVICE_SAFETY = 4.0
# The common limits are measured on so many values of each output, or so many cases.
_ENOUGH, _MOST_CASES = 1000, 4
# A case whose error is this many times below the common limit keeps that: correct files came to 3.8 times the error.
_ROOM = 5.0
# Correct files differ from the reference by 1.0 to 2.2 times its own error in the mean square. The mean of few values
# varies: that is added over the root of their number.
_RMS_SAFETY, _RMS_SCATTER = 4.0, 3.0
# From this share of differing neighbours on an image has a texture.
_TEXTURED = 0.1
# Two roundings of the largest value are no fault, however exact the reference is.
_SMALLEST_RMS = 2 * 2.0**-24
# HF32 has the exponent of float32 and 10 stored bits of its mantissa: 13 fewer.
_DROPPED_BITS = 13


_NO_JSON_NUMBERS = ("nan", "inf", "-inf")


class Rounding(NamedTuple):
    """How the reference differs from another computation of its network, in one case or in several.

    Attributes:
        tensors: Statistics by output.
        sizes: Number of values of each output.
        decoded: Limits of decoded results, derived from the same; None where there are no images.
        textured: Whether neighbouring pixels differ. Where they do not, values repeat and so do their errors: the mean
            square of a few of them says nothing.

    """

    tensors: Mapping[str, TensorStats]
    sizes: Mapping[str, int]
    decoded: DecodedLimit | None
    textured: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        tensors = {name: asdict(stats) for name, stats in self.tensors.items()}
        decoded = None if self.decoded is None else asdict(self.decoded)
        return {"tensors": tensors, "sizes": dict(self.sizes), "decoded": decoded, "textured": self.textured}


def rounding_from_dict(content: Mapping[str, Any], kind: str) -> Rounding:
    """Return what `Rounding.to_dict` wrote."""
    tensors = {name: stats_from_dict(stats) for name, stats in content["tensors"].items()}
    decoded = content["decoded"]
    limits = None if decoded is None else decoded_from_dict(decoded, kind)
    sizes = dict(content["sizes"])
    if set(sizes) != set(tensors) or not all(type(size) is int and size > 0 for size in sizes.values()):
        raise ValueError(f"sizes of {sorted(tensors)} are {sizes}")
    return Rounding(tensors, sizes, limits, bool(content["textured"]))


def algebra_from_dict(content: Mapping[str, Any]) -> Algebra | None:
    """Return what `Algebra.to_dict` wrote; None where nothing was measured."""
    if not content:
        return None
    return Algebra({name: stats_from_dict(stats) for name, stats in content["tensors"].items()}, content["fine"])


def decoded_from_dict(content: Mapping[str, Any], kind: str) -> DecodedLimit:
    """Return limits of decoded results as recorded, of a kind of result."""
    limit: DecodedLimit = get_kind(kind).limit(**numbers(content))
    return limit


def stats_from_dict(content: Mapping[str, Any]) -> TensorStats:
    """Return statistics as recorded; what only older versions measured is left out."""
    known = {entry.name for entry in fields(TensorStats)}
    return TensorStats(**{name: value for name, value in numbers(content).items() if name in known})


def numbers(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures as they were: JSON has no NaN and no infinity, records hold them as strings."""
    figures = {key: float(value) if value in _NO_JSON_NUMBERS else value for key, value in content.items()}
    check_numbers("a record", figures)
    return figures


class Algebra(NamedTuple):
    """How far a network's form for export is from the network in float64.

    Attributes:
        tensors: Statistics by output.
        fine: Whether all was computed in float64; if not, the form's own code rounds its tensors to float32.

    """

    tensors: Mapping[str, TensorStats]
    fine: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"fine": self.fine, "tensors": {name: asdict(stats) for name, stats in self.tensors.items()}}


def measure_rounding(
    decoder: Decoder, case: CaseReference, other: Mapping[str, Array], safety: float, *, exact: bool
) -> Rounding:
    """Measure how the reference differs from another computation of its network, and derive limits of results.

    Args:
        decoder: The reference's postprocessing.
        case: What the reference made of a case.
        other: What the other computation made of it.
        safety: See `GateKind.derive`.
        exact: Whether the other computation is the exact one; else the reference is.

    """
    own = case.outputs
    stats = {name: measure_tensor(*((other[name], own[name]) if exact else (own[name], other[name]))) for name in own}
    rounded = {name: np.asarray(value, np.float32) for name, value in other.items()}
    first, second = (rounded, own) if exact else (own, rounded)
    derive = get_gate_kind(decoder.spec.kind).derive
    limits = [
        derive(partial(decoder, transform=transform), row(first, i), row(second, i), safety)
        for i, transform in enumerate(case.transforms)
    ]
    sizes = {name: value.size for name, value in own.items()}
    textured = bool((np.diff(case.inputs, axis=-1) != 0).mean() >= _TEXTURED)
    return Rounding(stats, sizes, widest(limits) if limits else None, textured)


def row(outputs: Mapping[str, Array], index: int) -> dict[str, Array]:
    """Return one row of a batch of outputs, still as a batch."""
    return {name: values[index : index + 1] for name, values in outputs.items()}


def run_exactly(network: nn.Module, inputs: Sequence[Array]) -> list[dict[str, Any]]:
    """Run a network in float64, row by row; return its outputs for each of the inputs."""
    torch = import_torch()
    # Converted there and back: float32 values survive it unchanged, and a copy of a large network is saved. Not within
    # inference mode, whose tensors can have no gradient ever after.
    network.double()
    try:
        with torch.inference_mode():
            rows = [[network(torch.from_numpy(x[None]).double()) for x in batch] for batch in inputs]
            return [{name: torch.cat([row[name] for row in batch]).numpy() for name in batch[0]} for batch in rows]
    finally:
        network.float()


def measure_algebra(spec: ModelSpec, network: nn.Module, inputs: Array, exact: Mapping[str, Array]) -> Algebra:
    """Measure how far a network's form for export is from the network, both in float64.

    Folding and rewriting are algebra: what they change beyond a few roundings of float64 is a mistake, and in float32
    it may hide in the noise.

    Args:
        spec: The model, which fuses and rewrites.
        network: As loaded.
        inputs: (1, 3, H, W) float32.
        exact: What the network makes of them in float64.

    """
    torch = import_torch()
    network.double()
    try:
        form = spec.export_form(spec.fuse(network))
        fine = not any(tensor.dtype == torch.float32 for tensor in form.state_dict().values())
        form.double()
        with torch.inference_mode():
            outputs = {name: value.numpy() for name, value in form(torch.from_numpy(inputs).double()).items()}
    finally:
        network.float()
    return Algebra({name: measure_tensor(exact[name], outputs[name]) for name in exact}, fine)


def common_rounding(cases: Sequence[Rounding]) -> Rounding:
    """Return what rounding does in the first cases that together have `_ENOUGH` values of each output.

    A detector has thousands of outputs, and one image tells how large errors get. A few class scores of one image do
    not: so many images are taken that there are enough numbers.
    """
    taken: list[Rounding] = []
    for case in [case for case in cases if case.decoded is not None][:_MOST_CASES]:
        taken.append(case)
        if min(sum(entry.sizes[name] for entry in taken) for name in case.sizes) >= _ENOUGH:
            break
    tensors = {name: _pooled([case.tensors[name] for case in taken]) for name in taken[0].tensors}
    sizes = {name: sum(case.sizes[name] for case in taken) for name in taken[0].sizes}
    decoded = widest([case.decoded for case in taken if case.decoded is not None])
    return Rounding(tensors, sizes, decoded, all(case.textured for case in taken))


def _pooled(stats: Sequence[TensorStats]) -> TensorStats:
    """Return the statistics of the case with the largest error."""
    return max(stats, key=lambda entry: entry.max_abs if entry.finite else math.inf)


def common_limits(common: Rounding) -> Limits:
    """Return the limits of all cases whose own rounding is of the usual size."""
    assert common.decoded is not None
    tensors = {name: tensor_limit(stats, common.sizes[name]) for name, stats in common.tensors.items()}
    return Limits(tensors, common.decoded)


def case_limits(common: Rounding, own: Rounding, *, squeezed: bool = False) -> Limits:
    """Return the limits of one case.

    Rounding depends on the image: what one makes large, another does not. So each case has the limits of its own error,
    those of the common one where that leaves it room, and results have the wider of both.

    Args:
        common: From `common_rounding`.
        own: Of the case.
        squeezed: Whether outputs went through functions that are flat in places, as scores are: of an image without
            texture, whose values repeat, all errors may then vanish by chance.

    """
    tensors = {}
    for name, stats in own.tensors.items():
        usual = tensor_limit(common.tensors[name], common.sizes[name])
        limit = tensor_limit(stats, own.sizes[name])
        few = own.sizes[name] < _ENOUGH or (squeezed and not own.textured)
        if few and common.tensors[name].finite:  # a handful of values may have hardly any error by chance
            limit = usual if limit.max_abs <= usual.max_abs else limit
            limit = replace(limit, rms=max(limit.rms, usual.rms))
        elif limit.max_abs > usual.max_abs >= _ROOM * stats.max_abs:
            limit = replace(limit, max_abs=usual.max_abs, derived=usual.derived)
        tensors[name] = limit if own.textured else replace(limit, rms=math.inf)
    decoded = [limits for limits in (common.decoded, own.decoded) if limits is not None]
    return Limits(tensors, widest(decoded))


def tensor_limit(floor: TensorStats, values: int) -> TensorLimit:
    """Derive the limit of an output from the rounding error of its reference (*floor*: float32 against float64).

    Args:
        floor: The error.
        values: Number of values that it was measured on.

    """
    largest = floor.largest or 1.0
    smallest = SMALLEST_RELATIVE * largest
    derived = f"{SAFETY:g} x {floor.max_abs:.2e}, the reference's own rounding error (float32 against float64)"
    if SAFETY * floor.max_abs < smallest:
        derived = f"{smallest:.2e}, 16 roundings of the largest value"
    rms = _RMS_SAFETY * (1 + _RMS_SCATTER / math.sqrt(values)) * floor.rms
    return TensorLimit(max(SAFETY * floor.max_abs, smallest), derived=derived, rms=max(rms, _SMALLEST_RMS * largest))


def strict_device_limits(limits: Limits, device: DecodedLimit) -> Limits:
    """Derive the limits of a device that computes in float32 from those of the exported file, in one case.

    Args:
        limits: What the exported file may differ by.
        device: See `GateKind.device`.

    """
    tensors = {}
    for name, limit in limits.tensors.items():
        derived = f"{DEVICE_SAFETY:g} x ({limit.derived})"
        tensors[name] = TensorLimit(DEVICE_SAFETY * limit.max_abs, limit.rtol, derived, DEVICE_SAFETY * limit.rms)
    return Limits(tensors, device)


def rounding_device_limits(limits: Limits, device: DecodedLimit, effect: Rounding) -> Limits:
    """Derive the limits of a device that rounds what goes into convolutions, in one case.

    Args:
        limits: What the exported file may differ by.
        device: See `GateKind.device`.
        effect: What such rounding changes in the reference, in this case.

    """
    tensors = {}
    for name, stats in effect.tensors.items():
        rms = _RMS_SAFETY * (1 + _RMS_SCATTER / math.sqrt(effect.sizes[name])) * stats.rms
        tensors[name] = TensorLimit(
            max(DEVICE_SAFETY * stats.max_abs, limits.tensors[name].max_abs),
            derived=f"{DEVICE_SAFETY:g} x {stats.max_abs:.2e}, what HF32 convolutions change in the reference",
            rms=max(rms, DEVICE_SAFETY * limits.tensors[name].rms),
        )
    return Limits(tensors, device if effect.decoded is None else widest([device, effect.decoded]))


def hf32_effect(reference: Reference, network: nn.Module) -> list[Rounding]:
    """Measure what HF32 convolutions change in each case: the reference with and without their inputs rounded."""
    torch = import_torch()

    def round_inputs(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(round_to_hf32(value) for value in inputs)

    copy = reference.spec.fuse(network)
    for module in copy.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.weight.data = round_to_hf32(module.weight.data)
            module.register_forward_pre_hook(round_inputs)

    effects = []
    for case in reference.cases:
        with torch.inference_mode():
            outputs = {name: value.numpy() for name, value in copy(torch.from_numpy(case.inputs)).items()}
        effects.append(measure_rounding(reference.decoder, case, outputs, DEVICE_SAFETY, exact=False))
    return effects


def round_to_hf32(value: Tensor) -> Tensor:
    """Round float32 numbers to HF32, halves to even."""
    torch = import_torch()
    bits = value.contiguous().view(torch.int32)
    half = (1 << (_DROPPED_BITS - 1)) - 1
    odd = (bits >> _DROPPED_BITS) & 1
    rounded: Tensor = ((bits + half + odd) >> _DROPPED_BITS << _DROPPED_BITS).view(torch.float32)
    return rounded
