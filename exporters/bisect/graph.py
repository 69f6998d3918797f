"""A network as a list of operators, and the places where it can be cut in two.

A cut after some operators is used where everything that later operators take across it can be had from both legs. Then
a part between two cuts can be run by itself on the reference's values: what it gets wrong, it has introduced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    import onnx


class Operator(NamedTuple):
    """One operator of a network, whichever leg runs it.

    Attributes:
        name: As its graph calls it.
        kind: Such as "Conv" or "aten.conv2d".
        inputs: Names of the values that it takes, constants left out.
        outputs: Names of the values that it gives.
        module: Path of the PyTorch module that it comes from; empty where that is not known.

    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    module: str = ""


class Network(NamedTuple):
    """The operators of a network in the order in which they can run.

    Attributes:
        operators: All of them.
        inputs: Names of what goes in.
        outputs: Names of what comes out.

    """

    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Cut(NamedTuple):
    """A place between operators.

    Attributes:
        after: Number of operators before it.
        live: Values that are made before it, or go in, and are needed after it, or come out.

    """

    after: int
    live: tuple[str, ...]


def network_of(graph: onnx.GraphProto, modules: Mapping[str, str]) -> Network:
    """Return the operators of an ONNX graph.

    Args:
        graph: In topological order, as ONNX demands.
        modules: Path of the PyTorch module of each value that an operator gives, as far as known.

    """
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    operators = []
    for number, node in enumerate(graph.node):
        if node.op_type == "Constant":
            continue
        outputs = tuple(name for name in node.output if name)
        module = next((modules[name] for name in outputs if name in modules), "")
        inputs = tuple(dict.fromkeys(name for name in _inputs(node) if name and name not in constants))
        operators.append(Operator(node.name or f"{node.op_type}_{number}", node.op_type, inputs, outputs, module))
    inputs = tuple(value.name for value in graph.input if value.name not in constants)
    return Network(tuple(operators), inputs, tuple(value.name for value in graph.output))


def _inputs(node: onnx.NodeProto) -> list[str]:
    """Return what a node takes, in its subgraphs too."""
    names = list(node.input)
    for attribute in node.attribute:
        subgraphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
        for graph in subgraphs:
            made = {name for inner in graph.node for name in inner.output} | {
                tensor.name for tensor in graph.initializer
            }
            names += [name for inner in graph.node for name in _inputs(inner) if name not in made]
    return names


def find_cuts(network: Network, comparable: Container[str]) -> list[Cut]:
    """Return the cuts at which everything that crosses can be compared, from the inputs to the outputs.

    Args:
        network: Of the leg that is looked at.
        comparable: Names of values that both legs have. What is computed from shapes alone may cross any cut: each leg
            computes it for itself.

    """
    shapes = _shape_values(network)
    last_use = {name: len(network.operators) for name in network.outputs}
    for number, operator in enumerate(network.operators):
        for name in operator.inputs:
            last_use[name] = max(last_use.get(name, 0), number)
    live = [name for name in network.inputs if name in last_use]
    cuts = [Cut(0, tuple(live))]
    for number, operator in enumerate(network.operators):
        live = [name for name in live if last_use[name] > number]
        live += [name for name in operator.outputs if last_use.get(name, -1) > number]
        crossing = tuple(name for name in live if name not in shapes)
        end = number + 1 == len(network.operators)
        if end or all(name in comparable or name in network.inputs for name in crossing):
            cuts.append(Cut(number + 1, crossing))
    return cuts


def _shape_values(network: Network) -> set[str]:
    """Return the values that depend on shapes and constants alone."""
    found: set[str] = set()
    for operator in network.operators:
        if operator.kind in {"Shape", "Size"} or all(name in found for name in operator.inputs):
            found.update(operator.outputs)
    return found


def needed(network: Network, given: Container[str], wanted: Sequence[str]) -> list[int]:
    """Return the numbers of the operators that make some values from others.

    Raises:
        KeyError: A value cannot be made from what is given.

    """
    makers = {name: number for number, operator in enumerate(network.operators) for name in operator.outputs}
    chosen: set[int] = set()
    open_names: list[Any] = [name for name in wanted if name not in given]
    while open_names:
        number = makers[open_names.pop()]
        if number not in chosen:
            chosen.add(number)
            open_names += [name for name in network.operators[number].inputs if name not in given]
    return sorted(chosen)
