"""What can be compared with a file, and what is said where it cannot."""

from __future__ import annotations

import subprocess
import sys

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from cvport.errors import ArtifactError, BackendError, UsageError, WeightsError
from cvport.exporters.bisect.run import bisect
from cvport.runtimes.seal import KEY

pytestmark = pytest.mark.usefixtures("traced_once")


def foreign(path, *, element=TensorProto.FLOAT, kind="Neg"):
    """A file of one operator that says nothing about itself."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, ["in"], ["out"])], "g", [value("in", element, [1, 2])], [value("out", element, [1, 2])]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize("against", ["onnx", "tensorrt", "nothing"])
def test_unknown_legs_are_refused(file, against):
    with pytest.raises(UsageError, match="no leg"):
        bisect(file, against=against)


def test_network_needs_its_weights(file, small, tmp_path):
    with pytest.raises(WeightsError, match="needs the weights"):
        bisect(file)
    torch.save({"model": {k: torch.from_numpy(v) + 1 for k, v in small.checkpoint.state.items()}}, tmp_path / "o.pth")
    with pytest.raises(WeightsError, match="are not the weights that"):
        bisect(file, weights=tmp_path / "o.pth")


def test_network_needs_a_seal(file, weights):
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, file)
    with pytest.raises(UsageError, match="no seal"):
        bisect(file, weights=weights)
    assert bisect(file, against="onnx:unoptimised").verdict == "same", "that needs none"


def test_altered_file_is_looked_at(file, sealed_weights):
    model = onnx.load(file)
    assert any(entry.key == KEY for entry in model.metadata_props)
    model.graph.doc_string = "the digest does not fit any more"
    onnx.save(model, file)
    assert bisect(file, weights=sealed_weights).verdict == "same"


def test_files_of_other_networks_are_refused(file, tmp_path):
    with pytest.raises(ArtifactError, match="other inputs or outputs"):
        bisect(file, against=str(foreign(tmp_path / "f.onnx")))
    with pytest.raises(ArtifactError, match=r"no such file|cannot"):
        bisect(file, against=str(tmp_path / "none.onnx"))


def test_foreign_files_can_be_compared_with_each_other(tmp_path):
    first, second = foreign(tmp_path / "a.onnx"), foreign(tmp_path / "b.onnx", kind="Abs")
    assert bisect(first, against=str(first)).verdict == "same"
    found = bisect(second, against=str(first))
    assert [operator.kind for operator in found.first.operators] == ["Abs"]
    with pytest.raises(ArtifactError, match="not float32"):
        bisect(foreign(tmp_path / "c.onnx", element=TensorProto.DOUBLE), against="onnx:unoptimised")


def test_truth_values_between_the_operators_are_compared(tmp_path):
    zero = helper.make_tensor("zero", TensorProto.FLOAT, (), [0.0])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("x", "y")]

    def write(kind):
        steps = [("Less", ("x", "zero"), "small"), (kind, ("small",), "chosen"), ("Not", ("chosen",), "rest")]
        nodes = [helper.make_node(kind, list(given), [made]) for kind, given, made in steps]
        nodes += [helper.make_node("Where", ["rest", "x", "zero"], ["y"])]
        model = helper.make_model(
            helper.make_graph(nodes, "g", values[:1], values[1:], [zero]),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=8,
        )
        onnx.save(model, path := tmp_path / f"{kind}.onnx")
        return path

    found = bisect(write("Identity"), against=str(write("Not")), output=tmp_path / "found")
    assert [operator.kind for operator in found.first.operators] == ["Identity"]
    assert (found.first.introduced.max_abs, found.first.inherited) == (1.0, 0.0)
    replay = [sys.executable, "-I", str(found.folder / "replay.py")]
    assert subprocess.run(replay, check=False, capture_output=True).returncode == 6


def test_device_that_is_not_there(file, sealed_weights, no_torch_npu):
    with pytest.raises(BackendError):
        bisect(file, weights=sealed_weights, against="npu")


def test_kernel_of_a_device(file, sealed_weights, npu):
    same = bisect(file, weights=sealed_weights, against="npu:0")
    assert (same.verdict, same.simulated) == ("same", True)
    npu.wrong_for = (4, 64, 1, 1)
    found = bisect(file, weights=sealed_weights, against="npu")
    assert found.first.operators[-1].outputs == ("reg_0",)
    assert found.simulated
