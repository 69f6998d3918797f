"""A search from the file on the disk to what is kept of it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from cvport.exporters.bisect.run import bisect
from cvport.exporters.graphs.nodes import NODES
from cvport.runtimes.seal import KEY

pytestmark = pytest.mark.usefixtures("traced_once")


@pytest.fixture
def found(file, spoiled, tmp_path):
    return bisect(spoiled, against=str(file), output=tmp_path / "found")


def test_operator_is_named_with_its_module_and_figures(found):
    assert (found.verdict, found.stage) == ("diverges", "network")
    (operator,) = found.first.operators
    assert (operator.kind, operator.module, operator.outputs) == ("Conv", "head.reg_preds.1", ("reg_1",))
    content = found.to_dict()
    assert set(content) == {"schema_version", "verdict", "first", "stage", "runs", "folder"}
    first = content["first"]
    assert set(first) == {"node", "op_type", "module", "introduced", "inherited", "limit", "interval"}
    assert (first["node"], first["interval"], first["inherited"]) == (operator.name, None, 0.0)
    assert first["introduced"] > 10 * first["limit"] > 0
    assert 10 < content["runs"] < 120


def test_what_is_kept_reproduces_it(found):
    model = onnx.load(found.folder / "operator.onnx")
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    assert (found.folder / "operator.onnx").stat().st_size < 100_000
    with np.load(found.folder / "values.npz") as values:
        assert values["output/reg_1"].shape == (1, 4, 10, 10)
        (name,) = (key for key in values if key.startswith("input/"))
        assert values[name].dtype == np.float32
    replay = [sys.executable, "-I", str(found.folder / "replay.py")]
    done = subprocess.run(replay, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (6, "")
    assert done.stdout.startswith("reg_1: differs by ")
    kept = json.loads((found.folder / "bisect.json").read_text())
    assert kept["first"] == found.to_dict()["first"]


def test_error_curve_is_flat_until_the_operator(found):
    kept = json.loads((found.folder / "bisect.json").read_text())["curve"]
    assert len(kept) >= 20
    assert [point["after"] for point in kept] == sorted(point["after"] for point in kept)
    wrong = [point["value"] for point in kept if point["max_rel"] > 1e-3]
    assert wrong in ([], ["reg_1"]), "it is an output: nothing comes after it"


def test_each_search_has_a_folder_of_its_own(file, spoiled, tmp_path):
    folders = {bisect(spoiled, against=str(file), output=tmp_path / "o").folder for _ in range(2)}
    assert len(folders) == 2


def test_equal_files_are_the_same_and_nothing_is_written(file, tmp_path):
    for against in (str(file), "onnx:unoptimised"):
        found = bisect(file, against=against, output=tmp_path / "none")
        assert (found.verdict, found.stage, found.first, found.folder) == ("same", None, None, None)
        assert found.outputs.share < 1
    assert not (tmp_path / "none").exists()


def test_network_is_the_reference_of_its_file(file, spoiled, sealed_weights, tmp_path):
    assert bisect(file, weights=sealed_weights).verdict == "same"
    spoiled.with_name(NODES).unlink()  # then the network tells the modules
    found = bisect(spoiled, weights=sealed_weights, output=tmp_path / "o")
    assert [(o.kind, o.module) for o in found.first.operators] == [("Conv", "head.reg_preds.1")]


def test_a_group_without_inner_values_is_an_interval(file, tmp_path):
    model = onnx.load(file)
    node = next(node for node in model.graph.node if node.op_type == "Conv" and node.output[0] == "obj_0")
    node.output[0] = "inner"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.01), "factor"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["inner", "factor"], ["obj_0"], name="rescale"))
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    first = bisect(other, against=str(file)).to_dict()["first"]
    assert first["interval"] == [node.name, "rescale"]
    assert (first["node"], first["op_type"]) == ("rescale", "Mul")


@pytest.mark.parametrize(
    ("part", "change"), [("preprocess", {"colour": "bgr"}), ("postprocess", {"iou_threshold": 0.1})]
)
def test_a_stage_around_the_network_is_named_first(file, sealed_weights, part, change):

    model = onnx.load(file)
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    content = json.loads(entry.value)
    assert set(change) <= set(content[part])
    assert content[part] | change != content[part]
    content[part] |= change
    entry.value = json.dumps(content)
    onnx.save(model, file)
    found = bisect(file, weights=sealed_weights)
    assert (found.verdict, found.stage, found.first) == ("diverges", part, None)
