"""Faults, as a table: each changes one thing of an exported file, chosen at random."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cvport.runtimes.seal import KEY
from helpers.gate import with_digest

Random = np.random.Generator


class NotHereError(Exception):
    """The file has nothing that this fault could be planted in."""


@dataclass(frozen=True)
class Planting:
    """A kind of fault.

    Attributes:
        name: What it does.
        plant: Changes a model in place, and returns where.
        sealed: Whether what the file says about itself is changed, instead of its graph.

    """

    name: str
    plant: Callable[[onnx.ModelProto, Random], str]
    sealed: bool = False


def pick(rng: Random, things: Sequence):
    if not things:
        raise NotHereError
    return things[int(rng.integers(len(things)))]


def floats(model: onnx.ModelProto, least: int = 2) -> list[onnx.TensorProto]:
    sizes = [(tensor, int(np.prod(tensor.dims))) for tensor in model.graph.initializer if tensor.data_type == 1]
    return [tensor for tensor, size in sizes if size >= least]


def change_tensor(change: Callable[[np.ndarray, Random], np.ndarray], least: int = 2):
    """A fault in the values of one tensor."""

    def plant(model, rng):
        tensor = pick(rng, floats(model, least))
        before = numpy_helper.to_array(tensor)
        after = change(before.copy(), rng).astype(np.float32)
        if (before.view(np.uint32) == after.view(np.uint32)).all():
            raise NotHereError
        tensor.CopyFrom(numpy_helper.from_array(after, tensor.name))
        return tensor.name

    return plant


def _one(value, rng, change):
    flat = value.reshape(-1)
    index = int(rng.integers(flat.size))
    flat[index] = change(flat[index])
    return value


def _flip(value, rng):
    bit = int(rng.integers(0, 23))
    return _one(value, rng, lambda x: (np.array(x).view(np.uint32) ^ np.uint32(1 << bit)).view(np.float32))


def _swap_channels(value, rng):
    axis = int(rng.integers(value.ndim)) if value.ndim else 0
    if value.shape[axis] < 2:
        raise NotHereError
    a, b = rng.choice(value.shape[axis], 2, replace=False)
    order = np.arange(value.shape[axis])
    order[[a, b]] = order[[b, a]]
    return value.take(order, axis)


def _zero_channel(value, rng):
    value[int(rng.integers(len(value)))] = 0
    return value


def insert(model: onnx.ModelProto, rng: Random, make: Callable[[str, str], list[onnx.NodeProto]]) -> str:
    """Put nodes behind a random node with a float output."""
    kinds = ("Conv", "Mul", "Add", "Relu", "LeakyRelu", "Sigmoid", "Gemm", "MatMul", "BatchNormalization", "Concat")
    index, node = pick(rng, [(i, node) for i, node in enumerate(model.graph.node) if node.op_type in kinds])
    name = node.output[0]
    node.output[0] = f"{name}/before"
    for offset, new in enumerate(make(node.output[0], name), 1):
        model.graph.node.insert(index + offset, new)
    return name


def constant(model: onnx.ModelProto, value: np.ndarray) -> str:
    name = f"planted/{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def half_cast(model, rng):
    return insert(
        model,
        rng,
        lambda x, y: [
            helper.make_node("Cast", [x], [f"{y}/half"], to=onnx.TensorProto.FLOAT16),
            helper.make_node("Cast", [f"{y}/half"], [y], to=onnx.TensorProto.FLOAT),
        ],
    )


def scaled(model, rng):
    factor = constant(model, np.float32(rng.choice([0.999, 1.001, 1.01])))
    return insert(model, rng, lambda x, y: [helper.make_node("Mul", [x, factor], [y])])


def change_attribute(kinds: Sequence[str], name: str, change: Callable):
    def plant(model, rng):
        found = [
            (node, attribute)
            for node in model.graph.node
            if node.op_type in kinds
            for attribute in node.attribute
            if attribute.name == name
        ]
        node, attribute = pick(rng, found)
        before = helper.get_attribute_value(attribute)
        after = change(before, rng)
        if after == before:
            raise NotHereError
        attribute.CopyFrom(helper.make_attribute(name, after))
        return f"{node.op_type} {node.output[0]}"

    return plant


def replace_operator(old: str, new: str, **attributes):
    def plant(model, rng):
        node = pick(rng, [node for node in model.graph.node if node.op_type == old])
        node.op_type = new
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        return node.output[0]

    return plant


def swap_inputs(model, rng):
    kinds = ("Concat", "Sub", "Div", "Gemm", "MatMul", "Where")
    node = pick(rng, [node for node in model.graph.node if node.op_type in kinds and len(set(node.input[:2])) > 1])
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return f"{node.op_type} {node.output[0]}"


def rewire(model, rng):
    """A node reads another tensor of the same shape."""
    shapes = {
        entry.name: tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:])
        for entry in onnx.shape_inference.infer_shapes(model).graph.value_info
        if entry.type.tensor_type.elem_type == 1
    }
    made: list[str] = []
    options = []
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            others = [other for other in made if other != name and shapes.get(other) == shapes.get(name)]
            if shapes.get(name) and others:
                options.append((node, i, others))
        made += [name for name in node.output if name in shapes]
    node, i, others = pick(rng, options)
    node.input[i] = pick(rng, others)
    return f"{node.op_type} {node.output[0]}"


def integer_constant(model, rng):
    tensor = pick(rng, [tensor for tensor in model.graph.initializer if tensor.data_type == 7])
    value = numpy_helper.to_array(tensor).copy()
    flat = value.reshape(-1)
    flat[int(rng.integers(flat.size))] += int(rng.choice([-1, 1]))
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return tensor.name


def from_row(model, rng):
    """An output is 0 from one row of the batch on; batches up to there are right."""
    first = int(rng.choice([1, 2, 4, 8, 16]))
    output = pick(rng, [entry.name for entry in model.graph.output])
    node = next(node for node in model.graph.node if output in node.output)
    rank = len(next(entry for entry in model.graph.output if entry.name == output).type.tensor_type.shape.dim)
    inner = f"{output}/before"
    node.output[list(node.output).index(output)] = inner
    zero, one = constant(model, np.array(0, np.int64)), constant(model, np.array(1, np.int64))
    shape = constant(model, np.array([-1] + [1] * (rank - 1), np.int64))
    limit, nothing = constant(model, np.array(first, np.int64)), constant(model, np.float32(0))
    axes = constant(model, np.array([0], np.int64))
    model.graph.node.extend(
        [
            helper.make_node("Shape", [inner], [f"{inner}/shape"], start=0, end=1),
            helper.make_node("Squeeze", [f"{inner}/shape", axes], [f"{inner}/rows"]),
            helper.make_node("Range", [zero, f"{inner}/rows", one], [f"{inner}/range"]),
            helper.make_node("Reshape", [f"{inner}/range", shape], [f"{inner}/column"]),
            helper.make_node("Less", [f"{inner}/column", limit], [f"{inner}/right"]),
            helper.make_node("Where", [f"{inner}/right", inner, nothing], [output]),
        ]
    )
    return f"{output} from row {first}"


def nan_on_flat(model, rng):
    """An output is NaN where the input does not vary: a variance over itself."""
    output = pick(rng, [entry.name for entry in model.graph.output])
    node = next(node for node in model.graph.node if output in node.output)
    inner = f"{output}/before"
    node.output[list(node.output).index(output)] = inner
    name, zero = model.graph.input[0].name, constant(model, np.float32(0))
    rank = len(next(entry for entry in model.graph.output if entry.name == output).type.tensor_type.shape.dim)
    axes = constant(model, np.array([2, 3], np.int64))
    shape = constant(model, np.array([0] + [1] * (rank - 1), np.int64))
    channel = constant(model, np.array([0, 1], np.int64)), constant(model, np.array([1], np.int64))
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", [name, axes], [f"{inner}/high"], keepdims=0),
            helper.make_node("ReduceMin", [name, axes], [f"{inner}/low"], keepdims=0),
            helper.make_node("Sub", [f"{inner}/high", f"{inner}/low"], [f"{inner}/all"]),
            helper.make_node(
                "Split", [f"{inner}/all"], [f"{inner}/span", f"{inner}/1", f"{inner}/2"], axis=1, num_outputs=3
            ),
            helper.make_node("Div", [f"{inner}/span", f"{inner}/span"], [f"{inner}/ones"]),
            helper.make_node("Mul", [f"{inner}/ones", zero], [f"{inner}/none"]),
            helper.make_node("Reshape", [f"{inner}/none", shape], [f"{inner}/wide"]),
            helper.make_node("Add", [inner, f"{inner}/wide"], [output]),
        ]
    )
    del channel
    return output


def change_seal(model, rng):
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    content = json.loads(entry.value)
    part = str(rng.choice(["preprocess", "postprocess"]))
    options = [name for name, value in content[part].items() if isinstance(value, (int, float, list, str)) and value]
    name = pick(rng, sorted(options))
    before = content[part][name]
    choices = {"colour": ["rgb", "bgr"], "activation": ["none", "sigmoid"]}
    if isinstance(before, str):
        others = [value for value in choices.get(name, []) if value != before]
        after = pick(rng, others)
    elif isinstance(before, list):
        after = [value * 2 if i == 0 else value for i, value in enumerate(before)]
    else:
        after = not before if isinstance(before, bool) else type(before)(before * 2)
    content[part][name] = after
    entry.value = json.dumps(content)
    return f"{part}.{name} {before} -> {after}"


# What photographs, one at a time, cannot show.
ALWAYS_MATTER = ("rows from one on are 0", "NaN where the image is flat", "a sealed parameter")
PLANTINGS = (
    Planting("a tensor times 1.01", change_tensor(lambda v, _: v * np.float32(1.01))),
    Planting("a tensor times 1.001", change_tensor(lambda v, _: v * np.float32(1.001))),
    Planting("a tensor in float16", change_tensor(lambda v, _: v.astype(np.float16))),
    Planting("one value times 1.1", change_tensor(lambda v, r: _one(v, r, lambda x: x * np.float32(1.1)))),
    Planting("one bit of a mantissa", change_tensor(_flip)),
    Planting("one value zero", change_tensor(lambda v, r: _one(v, r, lambda _: np.float32(0)))),
    Planting("two channels of a tensor swapped", change_tensor(_swap_channels, 8)),
    Planting("a channel of a tensor zero", change_tensor(_zero_channel)),
    Planting("Cast to float16 and back", half_cast),
    Planting("Mul by nearly one", scaled),
    Planting(
        "pads of a convolution",
        change_attribute(
            ("Conv",),
            "pads",
            lambda v, _: [*v[2:], *v[:2]] if v[0] != v[2] else [v[0] + 1, v[1], v[2] - 1, v[3]] if v[2] else v,
        ),
    ),
    Planting(
        "alpha of LeakyRelu", change_attribute(("LeakyRelu",), "alpha", lambda v, r: float(v * r.choice([0.9, 1.1])))
    ),
    Planting(
        "epsilon of a normalisation",
        change_attribute(
            ("BatchNormalization", "InstanceNormalization", "LayerNormalization"),
            "epsilon",
            lambda v, r: float(v * r.choice([0.1, 10.0])),
        ),
    ),
    Planting("axis", change_attribute(("Concat", "Split", "Softmax"), "axis", lambda v, r: int(v + r.choice([-1, 1])))),
    Planting(
        "mode of Resize",
        change_attribute(("Resize",), "mode", lambda v, _: b"linear" if v == b"nearest" else b"nearest"),
    ),
    Planting("order of a Transpose", change_attribute(("Transpose",), "perm", lambda v, _: [*v[:-2], v[-1], v[-2]])),
    Planting("HardSigmoid for Sigmoid", replace_operator("Sigmoid", "HardSigmoid", alpha=1 / 6, beta=0.5)),
    Planting("LeakyRelu for Relu", replace_operator("Relu", "LeakyRelu", alpha=0.001)),
    Planting("Sub for Add", replace_operator("Add", "Sub")),
    Planting("Max for Add", replace_operator("Add", "Max")),
    Planting("inputs swapped", swap_inputs),
    Planting("another tensor read", rewire),
    Planting("a whole number off by one", integer_constant),
    Planting("rows from one on are 0", from_row),
    Planting("NaN where the image is flat", nan_on_flat),
    Planting("a sealed parameter", change_seal, sealed=True),
)


def planted(data: bytes, planting: Planting, seed: Sequence[int]) -> tuple[bytes, str]:
    """Return the bytes of a file with one fault, sealed with the digest that fits them, and where the fault is.

    Raises:
        NotHereError: There is no place for it.

    """
    model = onnx.load_from_string(data)
    where = planting.plant(model, np.random.default_rng(seed))
    return (model.SerializeToString(deterministic=True) if planting.sealed else with_digest(model)), where


def clip(factor: float, largest: dict[str, float]) -> Planting:
    """Values over the largest that the gate's inputs reach, times a factor, are cut off."""

    def plant(model, rng):
        present = {name for node in model.graph.node for name in node.output}
        name = pick(rng, sorted(name for name, value in largest.items() if name in present and value > 0))
        node = next(node for node in model.graph.node if name in node.output)
        index = list(model.graph.node).index(node)
        bound = constant(model, np.float32(factor * largest[name]))
        node.output[0] = f"{name}/before"
        model.graph.node.insert(index + 1, helper.make_node("Clip", [f"{name}/before", "", bound], [name]))
        return name

    return Planting(f"Clip at {factor:g} of what is reached", plant)
