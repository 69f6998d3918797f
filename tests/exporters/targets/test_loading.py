"""Files that run in another runtime beside ONNX Runtime, with runtimes that do right and wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cvport.errors import ArtifactError
from cvport.exporters.targets.graph import read_graph
from cvport.exporters.targets.loading import LIMIT, Runtime, check_by_running, compare, make_inputs
from cvport.runtimes.backends.onnx import OnnxBackend
from helpers.small_files import SHAPE, node, write_file

NODES = [
    node("Relu", outputs=("a",), name="first"),
    node("Mul", "a", "w", outputs=("b",), name="second"),
    node("Sigmoid", "b", name="third"),
]
WEIGHT = {"w": np.float32([[[0.5]], [[1.0]], [[1.5]], [[2.0]]])}


@pytest.fixture
def graph(read):
    return read(NODES, constants=WEIGHT, outputs={"y": SHAPE})


def runtime(change=lambda outputs: outputs, weight=None):
    """A runtime that is ONNX Runtime, with other outputs, or that takes a weight for another."""

    def open_file(path):
        if weight is not None:
            model = onnx.load(path)
            model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
            path = path.with_name("altered.onnx")
            onnx.save(model, path)
        backend = OnnxBackend(path)
        return lambda inputs: change(backend.run(inputs))

    return Runtime(
        "Other 1.0", open_file, lambda message, graph: {node.name for node in graph.nodes if node.name in message}
    )


def failing(message):
    def fail(_path):
        raise RuntimeError(message)

    return replace(runtime(), open=fail)


def verdicts(outcome):
    return [entry.verdict for entry in outcome.nodes]


# --- inputs


def test_inputs_are_seeded_and_of_both_batch_sizes(read):
    graph = read(node("Relu"), inputs={"x": ("batch", 4, 8, 8)})
    (first, second), reason = make_inputs(graph)
    assert reason == ""
    assert (first["x"].shape, second["x"].shape) == ((1, 4, 8, 8), (2, 4, 8, 8))
    assert first["x"].dtype == np.float32
    assert abs(second["x"].std() - 1) < 0.2
    np.testing.assert_array_equal(first["x"], make_inputs(graph)[0][0]["x"])


def test_a_fixed_batch_is_run_alone(read):
    (only,), _ = make_inputs(read(node("Relu"), inputs={"x": (3, 4)}))
    assert only["x"].shape == (3, 4)


@pytest.mark.parametrize(
    ("dtype", "highest"),
    [(TensorProto.UINT8, 255), (TensorProto.INT64, 1), (TensorProto.BOOL, 1)],
)
def test_inputs_of_whole_numbers(tmp_path, dtype, highest):
    value = helper.make_tensor_value_info("x", dtype, (64, 64))
    model = helper.make_model(helper.make_graph([node("Identity")], "g", [value], []))
    onnx.save(model, tmp_path / "a.onnx")
    (only,), _ = make_inputs(read_graph(tmp_path / "a.onnx"))
    assert only["x"].dtype == helper.tensor_dtype_to_np_dtype(dtype)
    assert (only["x"].min(), only["x"].max()) == (0, highest)


def test_other_open_sides_and_texts_are_not_run(tmp_path, read):
    graph = read(node("Relu"), inputs={"x": ("batch", 4, "height", 8)}, outputs={"y": SHAPE})
    outcome = check_by_running(graph, failing("never opened"))
    assert verdicts(outcome) == ["unknown"]
    assert outcome.nodes[0].reason == "nothing was run: sides of x other than the batch are open"
    value = helper.make_tensor_value_info("x", TensorProto.STRING, (1,))
    onnx.save(helper.make_model(helper.make_graph([node("Identity")], "g", [value], [])), tmp_path / "a.onnx")
    assert make_inputs(read_graph(tmp_path / "a.onnx")) == ([], "x is no tensor of numbers")


# --- comparing


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"y": [1, -2]}, None),
        ({"y": [1, -2 * (1 + LIMIT / 2)]}, None),
        ({"y": [1, -2 * (1 + LIMIT * 2)]}, "y is off by 0.0004, 0.0002 of its largest value"),
        ({"y": [1, np.nan]}, "y is off by nan"),
        ({"y": [[1, -2]]}, "y is [1, 2], not [2]"),
        ({}, "y is missing"),
        ({"z": [1, -2]}, "y is missing"),
    ],
)
def test_outputs_are_compared(found, said):
    lines = compare({"y": np.float32([1, -2])}, {name: np.float32(value) for name, value in found.items()})
    assert len(lines) == (said is not None)
    assert said is None or lines[0].startswith(said)


def test_infinite_and_missing_numbers_have_to_be_the_same():
    strange = {"y": np.float32([np.nan, np.inf, -np.inf, 1])}
    assert compare(strange, strange) == []
    assert compare(strange, {"y": np.float32([np.nan, np.inf, np.inf, 1])})
    assert compare(strange, {"y": np.float32([0, np.inf, -np.inf, 1])})
    assert compare({"y": np.float32([1])}, {"y": np.float32([np.inf])})


# --- verdicts


def test_all_nodes_are_ok_where_the_outputs_agree(graph):
    outcome = check_by_running(graph, runtime())
    assert verdicts(outcome) == ["ok", "ok", "ok"]
    assert outcome.findings == ()
    assert outcome.notes == ("Other 1.0 and ONNX Runtime ran (1, 4, 8, 8); limit 0.0001 of an output's largest value",)


def test_the_first_node_with_other_values_is_named(graph):
    outcome = check_by_running(graph, runtime(weight=WEIGHT["w"] * np.float32(1.01)))
    assert verdicts(outcome) == ["unknown", "misread", "unknown"]
    assert outcome.nodes[1].reason.startswith("the first node with other values: b is off by ")
    assert [entry.verdict for entry in outcome.findings] == ["misread"]
    assert outcome.findings[0].reason.startswith("y is off by ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: {}, "y is missing"),
        (lambda outputs: {"y": outputs["y"][:, :2]}, "y is [1, 2, 8, 8], not [1, 4, 8, 8]"),
        (lambda outputs: {"y": outputs["y"] * np.nan}, "y is off by nan"),
    ],
)
def test_outputs_that_are_missing_misshapen_or_no_numbers_are_never_ok(graph, change, said):
    outcome = check_by_running(graph, runtime(change))
    assert "ok" not in verdicts(outcome)
    assert (outcome.findings[0].verdict, outcome.findings[0].reason[: len(said)]) == ("misread", said)


def test_a_larger_batch_alone_may_be_wrong(read):
    graph = read(NODES, constants=WEIGHT, inputs={"x": ("batch", 4, 8, 8)}, outputs={"y": ("batch", 4, 8, 8)})
    outcome = check_by_running(graph, runtime(lambda outputs: {"y": np.repeat(outputs["y"][:1], len(outputs["y"]), 0)}))
    assert outcome.findings[0].verdict == "misread"


def test_outputs_that_hardly_vary_prove_nothing(read):
    graph = read(
        [node("Mul", "x", "w", outputs=("a",), name="first"), node("Sigmoid", "a")], constants={"w": np.float32([1e-4])}
    )
    outcome = check_by_running(graph, runtime())
    assert verdicts(outcome) == ["unknown", "unknown"]
    assert outcome.nodes[0].reason.startswith("the outputs y hardly vary")


def test_nodes_that_a_failure_names_are_not_registered(graph):
    outcome = check_by_running(graph, failing("from /src/a/importer.cpp:12:\nno rule for second"))
    assert verdicts(outcome) == ["unknown", "not registered", "unknown"]
    assert outcome.nodes[1].reason == "Other 1.0 does not run the file: no rule for second"
    assert outcome.findings == ()


def test_a_failure_without_a_name_is_about_the_file(graph):
    outcome = check_by_running(graph, failing("no more memory"))
    assert verdicts(outcome) == ["unknown"] * 3
    assert [entry.verdict for entry in outcome.findings] == ["not registered"]


def test_what_onnx_runtime_cannot_run_cannot_be_compared(read):
    with pytest.raises(ArtifactError, match="is not a usable ONNX model"):
        check_by_running(read(node("Nothing"), outputs={"y": SHAPE}), runtime())


def test_inner_values_of_weights_in_another_file(tmp_path):
    path = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(write_file(tmp_path / "a.onnx", NODES, constants=WEIGHT, outputs={"y": SHAPE})),
        path,
        save_as_external_data=True,
        location="apart.bin",
        size_threshold=0,
    )
    outcome = check_by_running(
        read_graph(path), runtime(lambda outputs: {key: value + 1 for key, value in outputs.items()})
    )
    assert verdicts(outcome) == ["misread", "unknown", "unknown"]
