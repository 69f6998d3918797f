"""A file of someone else's: its names mapped to the model's, and operators that the network does not explain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArtifactError, UsageError, WeightsError, did_you_mean
from ...models.lazy import import_onnx
from ...runtimes.backends.onnx import OnnxBackend
from ...runtimes.parity.tensors import measure_tensor
from ...runtimes.parity.verdicts import Judgement
from .verify import Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

    from ...models.spec import ModelSpec
    from ...runtimes.backends.base import Array
    from .reference import Reference

# Operators that can change values unasked: what tools add for a device, or to make numbers smaller.
_ROUNDING = ("Cast", "CastLike", "Ceil", "DequantizeLinear", "Floor", "QuantizeLinear", "Round")
_SUSPECT = {*_ROUNDING, "Clip", "Dropout", "Max", "Min"}
_RANK = 4


@dataclass(frozen=True)
class Names:
    """Which of a file's inputs and outputs are the model's, and the shape of its input.

    Attributes:
        theirs: The file's name for each of the model's.
        batch: "dynamic", or the one batch size that the file takes.
        input_size: (H, W); None where the file takes any.

    """

    theirs: Mapping[str, str]
    batch: str | int
    input_size: tuple[int, int] | None


class RenamedBackend(OnnxBackend):
    """A file in ONNX Runtime under the model's own names of inputs and outputs."""

    def __init__(self, path: Path, names: Names, spec: ModelSpec) -> None:
        super().__init__(path)
        self._theirs = dict(names.theirs)
        self.inputs, self.outputs = spec.signature.inputs, spec.signature.outputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by the model's names; see `OnnxBackend.run`."""
        given = {self._theirs[name]: value for name, value in inputs.items()}
        try:
            values = self._session.run([self._theirs[name] for name in self.outputs], given)
        except Exception as error:  # onnxruntime's exceptions have no public base class
            raise ArtifactError(f"the file cannot be run: {str(error).splitlines()[0]}", "Look at the file.") from error
        return dict(zip(self.outputs, values, strict=True))


def read_model(path: Path) -> onnx.ModelProto:
    """Read a file with its weights.

    Raises:
        ArtifactError: It is missing or damaged, or weights that it keeps in other files are not there.
        BackendError: onnx is not installed.

    """
    import_onnx()
    import onnx

    if not path.is_file():
        raise ArtifactError(f"no such file: {path}", "Check the path.")
    try:
        return onnx.load(path)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path} keeps its weights in another file, which is not there: {error}", "Put it beside the file."
        ) from error
    except Exception as error:  # protobuf's and onnx's errors have no common base class
        raise ArtifactError(f"{path} is not a usable ONNX model: {error}", "Copy it again.") from error


def read_names(model: onnx.ModelProto, spec: ModelSpec, mapping: Sequence[str]) -> Names:
    """Return which of a file's inputs and outputs are the model's.

    Args:
        model: The file.
        spec: The model.
        mapping: ``THEIRS=OURS``, for names that differ.

    Raises:
        UsageError: The mapping is malformed or names nothing, or a name is missing.
        ArtifactError: The input is no (N, 3, H, W) float32.

    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {entry.name: entry for entry in model.graph.input if entry.name not in constants}
    known = [*inputs, *(entry.name for entry in model.graph.output)]
    wanted = (spec.input_name, *spec.output_names)
    theirs = {name: name for name in wanted if name in known}
    for text in mapping:
        their, equals, our = text.partition("=")
        if not equals or not their or not our:
            raise UsageError(f"--map {text} is not THEIRS=OURS", "For example --map images=input.")
        if their not in known:
            raise UsageError(f"--map {text}: the file has no input or output {their!r}", did_you_mean(their, known))
        if our not in wanted:
            raise UsageError(f"--map {text}: {spec.name} has no input or output {our!r}", did_you_mean(our, wanted))
        theirs[our] = their
    if len(inputs) == 1:
        theirs.setdefault(spec.input_name, next(iter(inputs)))
    missing = [name for name in wanted if name not in theirs]
    if missing:
        has = f"the file has no {', '.join(missing)}; it has {', '.join(known)}"
        raise UsageError(has, f"Say which it is: --map THEIRS={missing[0]}")
    batch, size = _input_shape(inputs[theirs[spec.input_name]])
    return Names(theirs, batch, size)


def _input_shape(entry: onnx.ValueInfoProto) -> tuple[str | int, tuple[int, int] | None]:
    kind = entry.type.tensor_type
    sides = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim]
    if kind.elem_type != 1 or len(sides) != _RANK or sides[1] not in (0, 3):
        raise ArtifactError(
            f"the input {entry.name} is {sides or 'of no known shape'}, not (N, 3, H, W) float32",
            "A file with its preprocessing inside, or with channels last, cannot be compared on tensors.",
        )
    return sides[0] or "dynamic", (sides[2], sides[3]) if sides[2] and sides[3] else None


def check_shapes(backend: OnnxBackend, reference: Reference) -> None:
    """Run the first case and compare the shapes of the outputs.

    Raises:
        WeightsError: They differ, as those of another number of classes do.

    """
    case = reference.cases[0]
    outputs = backend.run({reference.spec.input_name: case.inputs})
    for name, expected in case.outputs.items():
        theirs, ours = list(outputs[name].shape), list(expected.shape)
        if theirs != ours:
            raise WeightsError(
                f"{name} is {theirs} in the file and {ours} in the network of the weights",
                "Give the weights that the file was made from, the input size it has, or another --map.",
            )


def compare_operators(
    model: onnx.ModelProto, operators: Mapping[str, int], names: Names, reference: Reference
) -> Comparison:
    """Look for operators that the network has no reason for, and drive them with every case.

    Args:
        model: The file.
        operators: How often each operator is in the network's own graph, fused or not, whichever has more.
        names: The file's names.
        reference: The reference, for its inputs.

    Returns:
        A comparison that fails where such an operator changes a value; those that change none are told.

    """
    found = Counter(node.op_type for node in model.graph.node)
    extra = {kind: found[kind] - operators.get(kind, 0) for kind in _SUSPECT if found[kind] > operators.get(kind, 0)}
    nodes = [node for node in model.graph.node if node.op_type in extra]
    changes = _driven(model, nodes, names, reference) if nodes else {}
    reasons = []
    for kind in sorted(extra):
        changing = [node for node in nodes if node.op_type == kind and changes[node.output[0]]]
        # As many may change values as the network itself has.
        if len(changing) > operators.get(kind, 0):
            reasons += [f"{_title(node)} changes values by up to {changes[node.output[0]]:.3g}" for node in changing]
    quiet = tuple(f"unexplained: {_title(node)}" for node in nodes if not changes[node.output[0]])
    figures = {"operators": len(model.graph.node), "unexplained": sum(extra.values()), "changing": len(reasons)}
    judgement = Judgement("failed" if reasons else "passed", tuple(reasons), quiet)
    return Comparison(("torch", "onnx"), "structure", "", "operators", figures, judgement)


def _title(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _driven(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], names: Names, reference: Reference
) -> dict[str, float]:
    """Return by how much each node changes its first input in any case, by its output; 0 where it is no float."""
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    have = {entry.name for entry in watched.graph.output}
    for name in dict.fromkeys(name for node in nodes for name in (node.input[0], node.output[0])):
        if name not in have and name not in {entry.name for entry in watched.graph.input}:
            watched.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [entry.name for entry in session.get_outputs()]
    changes = dict.fromkeys((node.output[0] for node in nodes), 0.0)
    for case in reference.cases:
        feed = {names.theirs[reference.spec.input_name]: case.inputs}
        values: dict[str, Any] = {**feed, **dict(zip(wanted, session.run(wanted, feed), strict=True))}
        for node in nodes:
            before, after = values.get(node.input[0]), values[node.output[0]]
            if before is not None and before.dtype.kind == after.dtype.kind == "f" and before.shape == after.shape:
                stats = measure_tensor(before, after)
                change = stats.max_abs if stats.finite else np.inf
                changes[node.output[0]] = max(changes[node.output[0]], change)
    return changes
