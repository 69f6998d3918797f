"""What a file consists of, compared with its network: its weights to the bit, its operators by kind and number.

Comparisons of outputs see what the inputs reach, and nothing below the noise. A tensor rounded to half precision, a
flipped bit or a bound far out may be neither; here they show whatever a network computes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtimes.parity.verdicts import Judgement, judge
from .verify import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import onnx
    from torch import nn

# What the simplifier makes of several operators.
_FUSED = {"LpNormalization": ("ReduceL2", "Div")}
# An attribute that changes where the simplifier takes an operator of that kind into another.
_TAKEN_IN = {"keepdims": "Unsqueeze", "pads": "Pad", "perm": "Transpose", "transA": "Transpose", "transB": "Transpose"}
# Whole numbers of so few values are shapes, axes and bounds: the simplifier computes them, outputs judge them.
_MOST_SHAPE_VALUES = 8
_SHOWN = 5


@dataclass(frozen=True)
class Structure:
    """What a file that was made from a network may consist of.

    Attributes:
        weights: The tensors of the network in its form for export, by name.
        constants: All other constants of the traced graph, those without a name in the network.
        operators: How often each operator is in the traced graph, before it is simplified.
        signatures: The same of each operator with its attributes, see `_signature`.

    """

    weights: Mapping[str, np.ndarray[Any, Any]]
    constants: tuple[np.ndarray[Any, Any], ...]
    operators: Mapping[str, int]
    signatures: Mapping[tuple[str, ...], int]


def structure_of(form: nn.Module, *traced: onnx.ModelProto) -> Structure:
    """Return what a file may consist of.

    Args:
        form: The network as it was traced; the structure shares its tensors.
        traced: The graph that came of it, not simplified; several where it may be written in several ways.

    """
    weights = {name: tensor.detach().numpy() for name, tensor in form.state_dict().items()}
    graphs = [model.graph for model in traced]
    constants = tuple(value for graph in graphs for name, value in _tensors(graph) if name not in weights)
    operators, signatures = Counter[str](), Counter[tuple[str, ...]]()
    for graph in graphs:
        operators |= Counter(node.op_type for node in graph.node)  # the larger number of each
        signatures |= Counter(_signature(node) for node in graph.node)
    return Structure(weights, constants, operators, signatures)


def compare_structure(path: Path, structure: Structure) -> list[Comparison]:
    """Compare a file with what it may consist of: its weights, its other constants, its operators."""
    import onnx

    graph = onnx.load(path).graph
    tensors = list(_tensors(graph))
    named = [(name, value) for name, value in tensors if name in structure.weights]
    others = [(name, value) for name, value in tensors if name not in structure.weights]
    return [
        _compare_weights(named, structure),
        _compare_constants(others, structure),
        _compare_operators(graph, structure),
    ]


def _compare_weights(named: list[tuple[str, np.ndarray[Any, Any]]], structure: Structure) -> Comparison:
    reasons, largest = [], 0.0
    for name, value in named:
        expected = structure.weights[name]
        if _same(value, expected):
            continue
        if value.shape != expected.shape or value.dtype != expected.dtype:
            reasons.append(f"{name} is {value.dtype} {list(value.shape)}, not {expected.dtype} {list(expected.shape)}")
            continue
        differing = (_bits(value) != _bits(expected)).any(axis=1)
        with np.errstate(all="ignore"):
            change = float(np.abs(value.astype(np.float64) - expected).max())
        largest = max(largest, change)
        reasons.append(f"{name} differs in {int(differing.sum())} of {value.size} values, by {change:.3g}")
    figures = {"tensors": len(named), "of": len(structure.weights), "differing": len(reasons), "max_abs": largest}
    return Comparison(("torch", "onnx"), "structure", "", "weights", figures, _judged(reasons))


def _compare_constants(others: list[tuple[str, np.ndarray[Any, Any]]], structure: Structure) -> Comparison:
    reasons = [
        f"{name or 'a constant'} {value.dtype} {list(value.shape)} is no tensor of the network"
        for name, value in others
        if not _explained(value, structure)
    ]
    figures = {"constants": len(others), "unexplained": len(reasons)}
    return Comparison(("torch", "onnx"), "structure", "", "constants", figures, _judged(reasons))


def _compare_operators(graph: onnx.GraphProto, structure: Structure) -> Comparison:
    found: Counter[str] = Counter()
    for node in graph.node:
        known = node.op_type in structure.operators
        found.update([node.op_type] if known else _FUSED.get(node.op_type, [node.op_type]))
    extra = {kind: count - structure.operators.get(kind, 0) for kind, count in sorted(found.items())}
    reasons = [f"{count} {kind} more than the network has" for kind, count in extra.items() if count > 0]
    kinds = {kind for kind, count in extra.items() if count <= 0}
    other = _other_attributes([node for node in graph.node if node.op_type in kinds], structure, found)
    reasons += [f"{kind} with other attributes than the network's" for kind in other]
    foreign = sorted({node.domain for node in graph.node} - {"", "ai.onnx"})
    reasons += [f"operators of the domain {domain}" for domain in foreign]
    figures = {"operators": len(graph.node), "unexplained": sum(count for count in extra.values() if count > 0)}
    return Comparison(("torch", "onnx"), "structure", "", "operators", figures, _judged(reasons))


def _other_attributes(nodes: Sequence[onnx.NodeProto], structure: Structure, found: Mapping[str, int]) -> list[str]:
    """Return the kinds of operators of which some have attributes that none in the network has."""
    free = {name for name, kind in _TAKEN_IN.items() if found.get(kind, 0) < structure.operators.get(kind, 0)}
    expected: Counter[tuple[str, ...]] = Counter()
    for signature, count in structure.signatures.items():
        expected[_without(signature, free)] += count
    signatures = Counter(_without(_signature(node), free) for node in nodes)
    return sorted({signature[0] for signature, count in signatures.items() if count > expected[signature]})


def _signature(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return an operator's kind, then the name and the bytes of each of its attributes."""
    attributes = sorted(f"{entry.name} {entry.SerializeToString(deterministic=True).hex()}" for entry in node.attribute)
    return node.op_type, *attributes


def _without(signature: tuple[str, ...], names: set[str]) -> tuple[str, ...]:
    """Return a signature without some attributes."""
    return tuple(part for part in signature if part.partition(" ")[0] not in names)


def _judged(reasons: list[str]) -> Judgement:
    more = [f"and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
    return judge([*reasons[:_SHOWN], *more])


def _explained(value: np.ndarray[Any, Any], structure: Structure) -> bool:
    """Tell whether a constant is one of the traced graph, a shape, or a tensor of the network with its axes moved."""
    if value.dtype.kind in "iub" and value.size <= _MOST_SHAPE_VALUES:
        return True
    if any(_same(value, constant) for constant in structure.constants):
        return True
    flat = value.reshape(-1)
    return any(
        _same(np.transpose(tensor, axes).reshape(-1), flat)
        for tensor in structure.weights.values()
        if tensor.size == value.size
        for axes in permutations(range(tensor.ndim))
    )


def _same(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> bool:
    """Tell whether two arrays are the same to the bit; NaN is NaN, and -0 is not 0."""
    return first.shape == second.shape and first.dtype == second.dtype and bool((_bits(first) == _bits(second)).all())


def _bits(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the bytes of an array, a row for each value."""
    return np.ascontiguousarray(value).reshape(-1, 1).view(np.uint8)


def _tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield the constants of a graph with their names: its initialisers, and what constant nodes hold."""
    from onnx import numpy_helper

    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type in {"Constant", "ConstantOfShape"}:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield node.output[0], numpy_helper.to_array(attribute.t)
                elif attribute.name in {"value_float", "value_floats"}:
                    yield node.output[0], np.array(attribute.floats or attribute.f, dtype=np.float32)
