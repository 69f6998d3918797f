"""Operators are written with constant sizes where the graph tells them, and compute what they did."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cvport.exporters.graphs.safe_forms import use_safe_forms

INPUTS = np.random.default_rng(0).normal(size=(2, 6, 4, 6)).astype(np.float32)


def file_of(nodes, outputs, constants=(), inner=()):
    """A file that takes (batch, 6, 4, 6), with the shapes of what it gives and of *inner* values."""

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", ["batch", 6, 4, 6])],
        [value(name, shape) for name, shape in outputs.items()],
        tensors,
        value_info=[value(name, shape) for name, shape in dict(inner).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def rewritten(model):
    """Rewrite a file, and hold its outputs against what they were; return it."""
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": INPUTS})
    use_safe_forms(model)
    onnx.checker.check_model(model, full_check=True)
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": INPUTS})
    for one, other in zip(after, before, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    return model


def kinds(model):
    return Counter(node.op_type for node in model.graph.node)


def resize(sides, **attributes):
    """Sizes as torch computes them where the batch is open."""
    nodes = [
        helper.make_node("Shape", ["x"], ["head"], start=0, end=2),
        helper.make_node("Concat", ["head", "sides"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attributes),
    ]
    return file_of(nodes, {"y": ["batch", 6, *sides]}, {"sides": np.array(sides, np.int64)})


@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    ],
)
def test_a_resize_has_constant_scales(attributes):
    model = rewritten(resize((8, 18), **attributes))
    assert kinds(model) == {"Resize": 1}
    assert list(model.graph.node[0].input) == ["x", "", "y/scales"]
    (scales,) = model.graph.initializer
    assert numpy_helper.to_array(scales).tolist() == [1, 1, 2, 3]


def test_a_resize_by_no_whole_number_stays():
    model = rewritten(resize((7, 12), mode="linear"))
    assert kinds(model) == {"Shape": 1, "Concat": 1, "Resize": 1}


@pytest.mark.parametrize(("count", "sizes"), [(2, [3, 3]), (3, [2, 2, 2]), (6, [1] * 6)])
def test_a_split_has_sizes(count, sizes):
    names = [f"y{part}" for part in range(count)]
    outputs = {name: ["batch", size, 4, 6] for name, size in zip(names, sizes, strict=True)}
    model = rewritten(file_of([helper.make_node("Split", ["x"], names, axis=1, num_outputs=count)], outputs))
    (node,) = model.graph.node
    assert [entry.name for entry in node.attribute] == ["axis"]
    assert numpy_helper.to_array(model.graph.initializer[0]).tolist() == sizes


def test_the_last_part_of_a_split_may_be_smaller():
    four = helper.make_node("Split", ["x"], ["y", "z", "w", "v"], axis=1, num_outputs=4)
    shapes = {name: ["batch", side, 4, 6] for name, side in zip("yzwv", (2, 2, 2, 0), strict=True)}
    use_safe_forms(model := file_of([four], shapes))
    assert numpy_helper.to_array(model.graph.initializer[0]).tolist() == [2, 2, 2, 0]


def test_a_split_of_an_open_side_stays():
    node = helper.make_node("Split", ["x"], ["y", "z"], axis=0, num_outputs=2)
    model = rewritten(file_of([node], {"y": ["half", 6, 4, 6], "z": ["rest", 6, 4, 6]}))
    assert {entry.name for entry in model.graph.node[0].attribute} == {"axis", "num_outputs"}


@pytest.mark.parametrize("axes", [[2, 3], [-1, -2]])
def test_a_mean_over_an_image_is_a_pool(axes):
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=1)
    model = rewritten(file_of([node], {"y": ["batch", 6, 1, 1]}, {"axes": np.array(axes, np.int64)}))
    assert kinds(model) == {"GlobalAveragePool": 1}
    assert not model.graph.initializer


@pytest.mark.parametrize(("axes", "keepdims", "shape"), [([1], 1, ["batch", 1, 4, 6]), ([2, 3], 0, ["batch", 6])])
def test_any_other_mean_stays(axes, keepdims, shape):
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)
    model = rewritten(file_of([node], {"y": shape}, {"axes": np.array(axes, np.int64)}))
    assert kinds(model) == {"ReduceMean": 1}


def test_files_have_no_computed_sizes(nano_artifact):
    model = onnx.load(nano_artifact.onnx)
    assert "Shape" not in kinds(model)
    assert kinds(model)["Resize"] == 2
