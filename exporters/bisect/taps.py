"""Taps: values from the inside of a network on a device, kept in a capture, so that it can be searched elsewhere.

A search over a capture takes two rounds: taps all over the network name a part, taps at every operator of that part
name the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import InputError, UsageError
from ...runtimes.backends.registry import open_backend
from ..gate.rounding import DEVICE_SAFETY
from ..graphs.trace import simplify, trace_program
from .graph import find_cuts
from .inputs import network_inputs
from .search import Search, worst_inputs
from .sides import FileSide, NetworkSide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from ...models.spec import ModelSpec, Plan
    from ...runtimes.backends.base import Array
    from ..gate.capture_file import Capture
    from .graph import Cut, Network

# Places of "auto": a first round that leaves some 20 operators of the largest network for the second.
_AUTO = 16
_INPUT, _TAP = "tap_input", "tap"


class Taps(NamedTuple):
    """What a capture holds of the inside of a network.

    Attributes:
        meta: ``input``, the name of the network's input, and ``values``, the names of what was kept.
        arrays: The input and the values, by their names in the capture.

    """

    meta: dict[str, Any]
    arrays: dict[str, Array]


class CapturedSide:
    """A leg whose values were captured: it has those, for the captured input, and nothing else.

    Args:
        capture: With taps.
        outputs: Names of what comes out of the network.

    Raises:
        InputError: The capture has no taps.

    """

    def __init__(self, capture: Capture, outputs: tuple[str, ...]) -> None:
        taps = capture.meta.get("taps")
        if taps is None:
            raise InputError(
                "the capture has no taps: it holds what comes out of the network, not what is inside",
                "Capture again on the machine with the device: cvexport capture ... --taps auto",
            )
        self.outputs = outputs
        self.input = {taps["input"]: capture.arrays[f"{_INPUT}/{taps['input']}"]}
        self._stored = {name: capture.arrays[f"{_TAP}/{name}"] for name in taps["values"]}
        self.values = frozenset(self._stored)

    def run(self, rows: Sequence[Mapping[str, Array]], wanted: Sequence[str]) -> list[dict[str, Array]]:
        """Return stored values; what is given is what they were made of, or stored itself."""
        return [
            {name: self._stored[name] if name in self._stored else given[name] for name in wanted} for given in rows
        ]


@dataclass(frozen=True)
class Places:
    """Where to take taps: at so many places, or at each operator from one to another; at all where neither is said."""

    count: int | None = None
    between: tuple[str, str] | None = None


def take_taps(spec: ModelSpec, plan: Plan, network: nn.Module, places: Places, device: str | None) -> Taps:
    """Run a network on a device, and keep values from its inside.

    Args:
        spec: The model.
        plan: How it reads images, and its input size.
        network: As loaded.
        places: Where.
        device: "npu" or "npu:N"; None is the first.

    Returns:
        The values for the built-in input on which the device differs most from the CPU.

    Raises:
        UsageError: There is no operator of such a name.
        BackendError: The device is not available.

    """
    form = spec.export_form(spec.fuse(network))
    traced = trace_program(form, spec, plan.input_size, "dynamic")
    reference = NetworkSide(traced.exported_program, spec.signature)
    file = FileSide(simplify(traced.model_proto))
    cuts = find_cuts(file.network, reference.values)
    chosen = _choose(file.network, cuts, places)
    names = list(dict.fromkeys(name for cut in chosen for name in cut.live if name != spec.input_name))
    with open_backend("npu", form, device=device, precision="strict", signature=spec.signature) as backend:
        candidate = NetworkSide(reference.program, spec.signature, backend.device)
        search = Search(reference, candidate, DEVICE_SAFETY)
        inputs, _ = worst_inputs(search, network_inputs(spec, plan))
        (values,) = candidate.run([inputs], names)
    arrays = {f"{_TAP}/{name}": np.ascontiguousarray(value) for name, value in values.items()}
    arrays[f"{_INPUT}/{spec.input_name}"] = inputs[spec.input_name]
    return Taps({"input": spec.input_name, "values": names}, arrays)


def parse_places(choice: str) -> Places:
    """Return where to take taps.

    Args:
        choice: "auto", "all", how many places, or FIRST:LAST, two operators of the exported file.

    Raises:
        UsageError: It is none of these.

    """
    if choice in ("auto", "all"):
        return Places(_AUTO if choice == "auto" else None)
    first, colon, last = choice.partition(":")
    if colon and first and last:
        return Places(between=(first, last))
    if choice.isdecimal() and int(choice) > 0:
        return Places(int(choice))
    raise UsageError(f"--taps {choice} is no choice of places", "Known: auto, all, N, FIRST:LAST (two operators).")


def _choose(network: Network, cuts: Sequence[Cut], places: Places) -> list[Cut]:
    """Return the cuts at which to keep what crosses; the last one, at the outputs, is always among them."""
    if places.between is not None:
        order = {operator.name: number for number, operator in enumerate(network.operators)}
        unknown = [name for name in places.between if name not in order]
        if unknown:
            raise UsageError(f"--taps: there is no operator {unknown[0]}", "Take the names that bisect gave.")
        first, last = (order[name] for name in places.between)
        return [*(cut for cut in cuts if first <= cut.after <= last + 1), cuts[-1]]
    if places.count is None:
        return list(cuts)
    groups = np.array_split(np.arange(1, len(cuts) - 1), places.count)
    # Of each stretch the place where least crosses: fewer values to keep.
    least = [min((cuts[index] for index in group), key=lambda cut: len(cut.live)) for group in groups if group.size]
    return [*least, cuts[-1]]
