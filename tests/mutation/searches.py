"""Faults in one of two legs, and whether the search for where they part finds them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import helper, numpy_helper

import npu_sim
from cvport.exporters.bisect.inputs import network_inputs
from cvport.exporters.bisect.pairs import Pair
from cvport.exporters.bisect.run import Finding, search_pair
from cvport.exporters.bisect.sides import FileSide, NetworkSide
from cvport.exporters.gate.rounding import DEVICE_SAFETY
from cvport.exporters.graphs.trace import trace_program
from cvport.runtimes.backends.registry import open_backend
from helpers.gate import Exported
from mutation.plantings import PLANTINGS, NotHereError, Random, floats, pick

# What a fault has to change at the outputs, in limits, to be looked for.
LEAST = 10.0
# More operators than this, named together, are no answer.
GROUP = 6
_BY_NAME = {planting.name: planting for planting in PLANTINGS}
_ATTRIBUTES = ("pads of a convolution", "alpha of LeakyRelu", "axis", "mode of Resize", "order of a Transpose")


@dataclass(frozen=True)
class Fault:
    """A kind of fault in a file.

    Attributes:
        name: What it does.
        plant: Changes a model in place; returns the values, of which one is the first that is wrong.

    """

    name: str
    plant: Callable[[onnx.ModelProto, Random], set[str]]


def scaled_weights(model, rng):
    tensor = pick(rng, [tensor for tensor in floats(model) if len(tensor.dims) > 1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.02), tensor.name))
    return {node.output[0] for node in model.graph.node if tensor.name in node.input}


def attribute(model, rng):
    before = {node.output[0]: node.SerializeToString() for node in model.graph.node}
    names = list(_ATTRIBUTES)
    while names:
        name = names.pop(int(rng.integers(len(names))))
        try:
            _BY_NAME[name].plant(model, rng)
        except NotHereError:
            continue
        onnx.shape_inference.infer_shapes(model, strict_mode=True)
        return {node.output[0] for node in model.graph.node if node.SerializeToString() != before[node.output[0]]}
    raise NotHereError


def half_precision(model, rng):
    """One operator computes in float16."""
    nodes = list(model.graph.node)
    index = pick(rng, [i for i, node in enumerate(nodes) if node.op_type in ("Conv", "Gemm", "MatMul")])
    node, name = nodes[index], nodes[index].output[0]
    casts = []
    for i, taken in enumerate(node.input):
        casts.append(helper.make_node("Cast", [taken], [f"{name}/half{i}"], to=onnx.TensorProto.FLOAT16))
        node.input[i] = f"{name}/half{i}"
    node.output[0] = f"{name}/half"
    back = helper.make_node("Cast", [f"{name}/half"], [name], to=onnx.TensorProto.FLOAT)
    nodes[index : index + 1] = [*casts, node, back]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return {name, f"{name}/half"}


def wrong_fusion(model, rng):
    """Two operators become one, which does something else than both did; there is no value between them any more."""
    users = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    outputs = {entry.name for entry in model.graph.output}
    pairs = [
        (node, users[node.output[0]][0])
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul", "Add", "Mul")
        and len(users.get(node.output[0], [])) == 1
        and node.output[0] not in outputs
        and len(users[node.output[0]][0].output) == 1
    ]
    first, second = pick(rng, pairs)
    scale = "planted/scale"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1.02), scale))
    gone, name = first.output[0], second.output[0]
    inner = f"{gone}/fused"
    first.output[0] = inner
    for i, taken in enumerate(second.input):
        second.input[i] = f"{inner}/scaled" if taken == gone else taken
    index = list(model.graph.node).index(first)
    model.graph.node.insert(index + 1, helper.make_node("Mul", [inner, scale], [f"{inner}/scaled"]))
    return {name, inner, f"{inner}/scaled"}


FAULTS = (
    Fault("weights times 1.02", scaled_weights),
    Fault("an attribute", attribute),
    Fault("an operator in half precision", half_precision),
    Fault("a wrong fusion", wrong_fusion),
)
KERNEL = "a wrong kernel of a simulated device"


class Searched:
    """A subject as a file and as a traced network."""

    def __init__(self, made: Exported) -> None:
        self.made = made
        self.model = onnx.load_from_string(self.made.onnx)
        self.inputs = network_inputs(self.made.spec, self.made.plan)

    @cached_property
    def traced(self):
        made = self.made
        form = made.spec.export_form(made.spec.fuse(made.network))
        return trace_program(form, made.spec, made.plan.input_size, "dynamic")

    @cached_property
    def network(self) -> NetworkSide:
        return NetworkSide(self.traced.exported_program, self.made.spec.signature)

    def against_network(self, model: onnx.ModelProto) -> Finding:
        file = FileSide(model, self.network.modules)
        return search_pair(Pair(self.network, file, file, self.inputs))

    def against_file(self, model: onnx.ModelProto) -> Finding:
        file = FileSide(model, self.network.modules)
        return search_pair(Pair(FileSide(self.model), file, file, self.inputs))

    def unoptimised(self) -> Finding:
        file = FileSide(self.model)
        return search_pair(Pair(FileSide(self.model, optimised=False), file, file, self.inputs))

    def on_device(self) -> Finding:
        """On the simulated device that is plugged in."""
        spec = self.made.spec
        with open_backend("npu", self.made.network, precision="strict", signature=spec.signature) as backend:
            device = NetworkSide(self.network.program, spec.signature, backend.device)
            return search_pair(Pair(self.network, device, FileSide(self.model), self.inputs, DEVICE_SAFETY))

    def weight_shapes(self) -> dict[tuple[int, ...], set[str]]:
        """The shapes of weights, each with the values that are made with such, read either way round."""
        ends = [entry.arg.name for entry in self.network.program.graph_signature.output_specs]
        names = dict(zip(ends, self.network.outputs, strict=True))
        found: dict[tuple[int, ...], set[str]] = {}
        for node in self.network.program.graph.nodes:
            if str(node.target) in ("aten.conv2d.default", "aten.linear.default"):
                shape = tuple(node.args[1].meta["val"].shape)
                found.setdefault(min(shape, shape[::-1]), set()).add(names.get(node.name, node.name))
        return found


def planted(searched: Searched, number: int) -> tuple[Fault, onnx.ModelProto, set[str]]:
    """A file with a fault; the kinds take turns, and one that finds no place leaves it to the next."""
    for attempt in range(4 * len(FAULTS)):
        fault = FAULTS[(number + attempt) % len(FAULTS)]
        model = onnx.ModelProto()
        model.CopyFrom(searched.model)
        try:
            return fault, model, fault.plant(model, np.random.default_rng([number, attempt]))
        except (NotHereError, onnx.shape_inference.InferenceError):
            continue
    raise NotHereError


def judged(finding: Finding, truth: set[str]) -> str:
    """Whether the operator is named, alone or in a small group ("hit"), or not ("missed"), or does little ("small")."""
    if finding.outputs is not None and finding.outputs.share <= LEAST:
        return "small"
    if finding.first is None or len(finding.first.operators) > GROUP:
        return "missed"
    named = {name for operator in finding.first.operators for name in operator.outputs}
    return "hit" if named & truth else "missed"


def search_once(searched: Searched, number: int) -> dict[str, object]:
    """The result of one fault, against the network and against the file; every fifth is one of a device."""
    if number % (len(FAULTS) + 1) == len(FAULTS):
        shapes = searched.weight_shapes()
        shape = pick(np.random.default_rng(number), sorted(shapes))
        with npu_sim.plug_in() as machine:
            machine.wrong_for = shape
            return {
                "fault": KERNEL,
                "where": f"{shape} {min(shapes[shape])}",
                **_timed(searched.on_device, shapes[shape]),
            }
    fault, model, truth = planted(searched, number - number // (len(FAULTS) + 1))
    by_network = _timed(lambda: searched.against_network(model), truth)
    by_file = _timed(lambda: searched.against_file(model), truth)
    return {"fault": fault.name, "where": min(truth), **by_network, "file": by_file}


def search_clean(searched: Searched) -> dict[str, object]:
    """The verdicts of pairs without a fault: all have to be the same."""
    verdicts = [searched.unoptimised(), searched.against_file(searched.model), searched.against_network(searched.model)]
    with npu_sim.plug_in():
        verdicts.append(searched.on_device())
    return {"clean": [finding.verdict for finding in verdicts]}


def _timed(search: Callable[[], Finding], truth: set[str]) -> dict[str, object]:
    began = time.monotonic()
    finding = search()
    named = "" if finding.first is None else [operator.name for operator in finding.first.operators][:8]
    share = None if finding.outputs is None else float(finding.outputs.share)
    return {
        "result": judged(finding, truth),
        "named": named,
        "share": share if share is None or np.isfinite(share) else "inf",
        "runs": finding.runs,
        "seconds": round(time.monotonic() - began, 2),
    }
