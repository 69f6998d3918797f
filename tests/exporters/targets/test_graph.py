"""A file as checkers look at it."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from onnx import AttributeProto

from cvport.errors import ArtifactError, BackendError
from cvport.exporters.targets.graph import read_graph
from helpers.small_files import model_of, node, write_file

WEIGHT = np.zeros((64, 4, 3, 3), np.float32)


def test_nodes_constants_and_shapes(read):
    nodes = [
        node("Conv", "x", "w", outputs=("a",), name="conv", kernel_shape=[3, 3]),
        node("Constant", outputs=("c",), name="number", value=onnx.numpy_helper.from_array(np.int64([1, -1]))),
        node("Reshape", "a", "c", name=""),
    ]
    graph = read(nodes, constants={"w": WEIGHT, "unused": np.float32([1, 2])}, inputs={"x": ("batch", 4, 8, 8)})
    assert [entry.name for entry in graph.nodes] == ["conv", "number", "Reshape_2"]
    assert [entry.given_name for entry in graph.nodes] == ["conv", "number", ""]
    conv = graph.nodes[0]
    assert (conv.op_type, conv.inputs, conv.outputs) == ("Conv", ("x", "w"), ("a",))
    assert list(conv.attributes["kernel_shape"]) == [3, 3]
    assert (conv.input(1), conv.input(2), conv.output(0), conv.output(1)) == ("w", "", "a", "")
    assert (graph.opset, graph.outputs) == (18, ("y",))
    assert graph.shape("a") == (None, 64, 6, 6)
    assert (graph.rank("y"), graph.rank("w"), graph.rank("nothing")) == (2, 4, None)
    np.testing.assert_array_equal(graph.constant("c"), [1, -1])
    np.testing.assert_array_equal(graph.constant("unused"), [1, 2])
    assert graph.is_constant("w")
    assert graph.constant("w") is None, "large weights stay on the disk"
    assert not graph.is_constant("a")
    (entry,) = graph.inputs
    assert (entry.name, entry.shape) == ("x", ("batch", 4, 8, 8))


def test_weights_are_no_inputs(read):
    graph = read(node("Add", "x", "w"), constants={"w": np.float32([1])}, inputs={"x": (4,), "w": (1,)})
    assert [entry.name for entry in graph.inputs] == ["x"]


def test_weights_in_another_file(tmp_path):
    model = model_of(node("Conv", "x", "w", kernel_shape=[3, 3]), constants={"w": WEIGHT})
    path = tmp_path / "apart.onnx"
    onnx.save(model, path, save_as_external_data=True, location="apart.bin", size_threshold=0)
    assert read_graph(path).rank("w") == 4
    (tmp_path / "apart.bin").unlink()
    with pytest.raises(ArtifactError, match=r"apart\.bin") as raised:
        read_graph(path)
    assert raised.value.hint


def test_no_file_and_no_model(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        read_graph(tmp_path / "nothing.onnx")
    path = tmp_path / "text.onnx"
    path.write_text("this is no model")
    with pytest.raises(ArtifactError, match="is not a usable ONNX model"):
        read_graph(path)
    write_file(path, node("Conv", "x", "w", kernel_shape=[3, 3]), constants={"w": WEIGHT})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ArtifactError, match="cut short or damaged"):
        read_graph(path)


def test_an_attribute_without_a_value_is_damage(tmp_path):
    model = model_of(node("Relu"))
    model.graph.node[0].attribute.append(AttributeProto(name="broken", ref_attr_name="of_a_function"))
    path = tmp_path / "broken.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="is not a usable ONNX model"):
        read_graph(path)


@pytest.mark.parametrize("name", ["the_node", "Relu", "x", "y", "batch"])
def test_names_that_are_no_text_are_damage(tmp_path, name):
    shape = ("batch", 4)
    path = write_file(tmp_path / "a.onnx", node("Relu"), inputs={"x": shape}, outputs={"y": shape})
    length = bytes([len(name)])
    data = path.read_bytes()
    assert length + name.encode() in data
    path.write_bytes(data.replace(length + name.encode(), length + b"\xff" * len(name)))
    with pytest.raises(ArtifactError, match="is no UTF-8 text"):
        read_graph(path)


def test_where_nothing_can_be_inferred_declared_shapes_stay(read):
    graph = read(node("Nothing", domain="mine"), opsets=[("", 18)], outputs={"y": (2, 3)})
    assert (graph.rank("x"), graph.rank("y")) == (4, 2)


def test_without_onnx_nothing_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendError, match="onnx cannot be imported") as raised:
        read_graph(tmp_path / "a.onnx")
    assert raised.value.hint == "Install it: pip install onnx"
