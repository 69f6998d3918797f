"""A file as a checker looks at it: its nodes, subgraphs included, with the constants and shapes that are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ArtifactError, BackendError
from ..bisect.lean import read_lean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import onnx

    Shape = tuple[int | None, ...]

# Names of ONNX's own domain.
STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Node:
    """One node.

    Attributes:
        name: See `NodeVerdict.node`; one without a name is called by its operator and its place.
        op_type: The operator.
        domain: The operator's domain, empty for ONNX's own.
        inputs: Names of what it takes, empty for what is left out.
        outputs: Names of what it gives, empty for what is left out.
        attributes: Its attributes by name: numbers, texts, lists of them, messages of ONNX.
        given_name: The name in the file, which may be empty or not unique.

    """

    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    given_name: str = ""

    @property
    def kind(self) -> str:
        """The operator, behind its domain where that is not ONNX's own."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    def input(self, number: int) -> str:
        """Return the name of an input, empty where it is left out."""
        return self.inputs[number] if number < len(self.inputs) else ""

    def output(self, number: int) -> str:
        """Return the name of an output, empty where it is left out."""
        return self.outputs[number] if number < len(self.outputs) else ""


class Input(NamedTuple):
    """An input of the file: a number for a side that is fixed, a name or None for one that is open."""

    name: str
    dtype: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Graph:
    """A file's graph.

    Attributes:
        path: The file.
        model: It, without its larger weights.
        nodes: All nodes, in the file's order; those of a subgraph follow the node that it belongs to.

    """

    path: Path
    model: onnx.ModelProto
    nodes: tuple[Node, ...]

    @property
    def opsets(self) -> tuple[tuple[str, int], ...]:
        """The operator sets that the file asks for, as (domain, version)."""
        return tuple((entry.domain, entry.version) for entry in self.model.opset_import)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators; 0 where the file asks for none."""
        return max((version for domain, version in self.opsets if domain in STANDARD), default=0)

    @property
    def functions(self) -> frozenset[tuple[str, str]]:
        """Operators that the file itself defines, as (domain, name)."""
        return frozenset((entry.domain, entry.name) for entry in self.model.functions)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """What the file takes, without what has a value in it."""
        weights = {tensor.name for tensor in self.model.graph.initializer}
        return tuple(_input(value) for value in self.model.graph.input if value.name not in weights)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the file gives."""
        return tuple(value.name for value in self.model.graph.output)

    @cached_property
    def _constants(self) -> dict[str, onnx.TensorProto]:
        found: dict[str, onnx.TensorProto] = {}
        for graph in _graphs(self.model.graph):
            found |= {tensor.name: tensor for tensor in graph.initializer}
            for node in graph.node:
                values = [entry.t for entry in node.attribute if entry.name == "value"]
                if node.op_type == "Constant" and values:
                    found[node.output[0]] = values[0]
        return found

    def is_constant(self, name: str) -> bool:
        """Tell whether a value is written in the file."""
        return name in self._constants

    def constant(self, name: str) -> np.ndarray[Any, Any] | None:
        """Return a value that is written in the file; None for others, and for large ones."""
        import onnx
        from onnx import numpy_helper

        tensor = self._constants.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError):
            return None

    @cached_property
    def _inferred(self) -> onnx.ModelProto:
        """The model with the shapes that follow from it."""
        return _inferred(self.model)

    @property
    def values(self) -> tuple[onnx.ValueInfoProto, ...]:
        """Type and shape of inner values, as far as they are known."""
        return tuple(self._inferred.graph.value_info)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for graph in _graphs(self._inferred.graph):
            for value in (*graph.value_info, *graph.input, *graph.output):
                shape = _input(value).shape
                if shape is not None:
                    found[value.name] = tuple(side if isinstance(side, int) else None for side in shape)
        return found | {name: tuple(tensor.dims) for name, tensor in self._constants.items()}

    def shape(self, name: str) -> Shape | None:
        """Return the shape of a value, None for a side that is open; None where nothing is known of it."""
        return self._shapes.get(name)

    def rank(self, name: str) -> int | None:
        """Return the number of a value's sides; None where it is not known."""
        shape = self.shape(name)
        return None if shape is None else len(shape)


def read_graph(path: Path) -> Graph:
    """Read a file's graph; larger weights stay on the disk.

    Raises:
        ArtifactError: The file is missing or damaged, or weights that it keeps in other files are not there.
        BackendError: onnx is not installed.

    """
    try:
        import onnx  # noqa: F401 - what reads the file needs it
    except ImportError as error:
        raise BackendError(f"onnx cannot be imported: {error}", "Install it: pip install onnx") from error
    model, _ = read_lean(path)
    try:
        _check_texts([entry.domain for entry in (*model.opset_import, *model.functions)])
        return Graph(path, model, tuple(_nodes(model.graph, "")))
    except ValueError as error:
        raise ArtifactError(f"{path} is not a usable ONNX model: {error}", "Copy it again.") from error


def _nodes(graph: onnx.GraphProto, place: str) -> Iterator[Node]:
    """Yield the nodes of a graph with those of the subgraphs in them."""
    from onnx.helper import get_attribute_value

    _check_texts(_texts(graph))
    for number, node in enumerate(graph.node):
        name = place + (node.name or f"{node.op_type}_{number}")
        attributes = {}
        for entry in node.attribute:
            value = get_attribute_value(entry)
            attributes[entry.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
        domain = "" if node.domain in STANDARD else node.domain
        yield Node(name, node.op_type, domain, tuple(node.input), tuple(node.output), attributes, node.name)
        for entry in node.attribute:
            for body in _bodies(entry):
                yield from _nodes(body, f"{name}/{entry.name}/")


def _check_texts(texts: Iterable[object]) -> None:
    """Refuse texts that are no UTF-8: protobuf gives them as bytes."""
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name in it is no UTF-8 text")


def _texts(graph: onnx.GraphProto) -> Iterator[object]:
    """Yield the names in a graph, without those in its subgraphs."""
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (entry.name for entry in node.attribute)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from (value.name, *(side.dim_param for side in value.type.tensor_type.shape.dim))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the subgraphs in it."""
    yield graph
    for node in graph.node:
        for entry in node.attribute:
            for body in _bodies(entry):
                yield from _graphs(body)


def _bodies(entry: onnx.AttributeProto) -> list[onnx.GraphProto]:
    return [*entry.graphs, *([entry.g] if entry.HasField("g") else [])]


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with the shapes that follow from it; as it is where nothing can be inferred."""
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # what onnx raises has no common base class, and a file may be anything
        return model


def _input(value: onnx.ValueInfoProto) -> Input:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return Input(value.name, kind.elem_type, None)
    sides = tuple(side.dim_value if side.HasField("dim_value") else side.dim_param or None for side in kind.shape.dim)
    return Input(value.name, kind.elem_type, sides)
