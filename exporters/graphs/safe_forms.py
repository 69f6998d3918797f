"""Operators in the forms that every reader reads rightly, where a graph's sizes tell them.

Some readers see sizes only as constants: CANN's parser takes a Shape with start and end for one without, and needs the
sizes of a Split and the axes of a ReduceMean before it knows any shape; OpenCV's older engine takes no computed sizes
of a Resize. What is written here computes the same, up to the order in which a runtime adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx

    Shapes = Mapping[str, list[int | str]]

_IMAGE = 4  # sides of (N, C, H, W)


def use_safe_forms(model: onnx.ModelProto) -> None:
    """Rewrite the operators of a graph whose values have known shapes; the batch may be open. In place."""
    graph = model.graph
    shapes = _shapes(graph)
    for node in graph.node:
        rewrite = _REWRITES.get(node.op_type)
        if rewrite is not None:
            rewrite(graph, node, shapes)
    _drop_unused(graph)


def _scales(graph: onnx.GraphProto, node: onnx.NodeProto, shapes: Shapes) -> None:
    """Give a Resize its scales as a constant, where they are whole numbers."""
    before, after = shapes.get(node.input[0], []), shapes.get(node.output[0], [])
    if len(node.input) < 4 or len(before) != _IMAGE or len(after) != _IMAGE:  # noqa: PLR2004  # no sizes are given
        return
    sides = [(old, new) for old, new in zip(before[2:], after[2:], strict=True) if isinstance(old, int)]
    factors = [new // old for old, new in sides if isinstance(new, int) and new % old == 0]
    if len(factors) == _IMAGE - 2 and before[1] == after[1]:
        name = _constant(graph, node, "scales", np.array([1, 1, *factors], np.float32))
        node.input[2:] = [name]


def _parts(graph: onnx.GraphProto, node: onnx.NodeProto, shapes: Shapes) -> None:
    """Give a Split the sizes of its parts instead of their number."""
    attributes = {entry.name: entry.i for entry in node.attribute}
    shape = shapes.get(node.input[0], [])
    axis = attributes.get("axis", 0)
    whole = shape[axis] if -len(shape) <= axis < len(shape) else None
    if len(node.input) > 1 or "num_outputs" not in attributes or not isinstance(whole, int):
        return
    count = attributes["num_outputs"]
    size = -(-whole // count)
    sizes = np.array([size] * (count - 1) + [whole - size * (count - 1)], np.int64)
    node.input.append(_constant(graph, node, "sizes", sizes))
    kept = [entry for entry in node.attribute if entry.name != "num_outputs"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _pool(graph: onnx.GraphProto, node: onnx.NodeProto, shapes: Shapes) -> None:
    """Write the mean over the sides of an image as GlobalAveragePool."""
    from onnx import numpy_helper

    axes = next((tensor for tensor in graph.initializer if node.input[1:2] == [tensor.name]), None)
    attributes = {entry.name: entry.i for entry in node.attribute}
    if axes is None or len(shapes.get(node.input[0], [])) != _IMAGE or not attributes.get("keepdims", 1):
        return
    if sorted(axis % _IMAGE for axis in numpy_helper.to_array(axes).tolist()) == [2, 3]:
        node.op_type = "GlobalAveragePool"
        del node.input[1:]
        del node.attribute[:]


_REWRITES: Mapping[str, Callable[[Any, Any, Shapes], None]] = {"ReduceMean": _pool, "Resize": _scales, "Split": _parts}


def _constant(graph: onnx.GraphProto, node: onnx.NodeProto, what: str, value: Any) -> str:  # noqa: ANN401
    from onnx import numpy_helper

    name = f"{node.output[0]}/{what}"
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int | str]]:
    """Return the sides of each value whose shape is known: a number, or the name of one that is open."""
    return {
        value.name: [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in shape.dim]
        for value in (*graph.value_info, *graph.input, *graph.output)
        if (shape := value.type.tensor_type.shape) is not None and value.type.tensor_type.HasField("shape")
    }


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove operators and constants that nothing takes any more."""
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted & {name for name in node.output if name}:
            kept.append(node)
            wanted |= set(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
