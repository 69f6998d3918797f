"""Files that give boxes and scores: exported, judged and run as any other, with the results of the raw file."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cvport.errors import ArtifactError, UsageError
from cvport.exporters.bisect.run import bisect
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.gate.probes import scene
from cvport.exporters.judge import judge_file
from cvport.exporters.verify import verify_artifact
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.load import load
from cvport.runtimes.seal import KEY, read_seal
from helpers.gate import with_digest


@pytest.fixture(scope="module")
def pictures():
    return [scene(120, 160, seed=seed) for seed in range(3)]


def test_results_are_those_of_the_raw_file(nano_artifact, nano_decoded, pictures):
    assert nano_decoded.onnx.name == "yolox-decoded.onnx"
    assert read_seal(nano_decoded.onnx).form == "decoded"
    assert not any(check.problems for check in verify_artifact(nano_decoded.onnx))
    options = {"score_threshold": 0.15, "threads": 1, "backend": "onnx"}
    with load(nano_artifact.onnx, **options) as raw, load(nano_decoded.onnx, **options) as decoded:
        assert decoded.backend.outputs == ("boxes", "scores")
        expected = raw.predict_batch(pictures)
        for one, other in zip(decoded.predict_batch(pictures), expected, strict=True):
            assert len(one) == len(other)
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert sum(map(len, expected)) > 0


def test_torch_runs_it_too(nano_decoded, pictures):
    weights = {"backend": "torch", "weights": nano_decoded.weights, "score_threshold": 0.15}
    with (
        load(nano_decoded.onnx, backend="onnx", score_threshold=0.15) as file,
        load(nano_decoded.onnx, **weights) as net,
    ):
        np.testing.assert_allclose(file(pictures[0]).boxes, net(pictures[0]).boxes, atol=1e-2)


def test_record_compares_boxes_and_scores(nano_decoded):
    record = json.loads(nano_decoded.onnx.with_name("parity.json").read_text())
    assert record["verdict"] == "passed"
    tensors = {entry["what"] for entry in record["comparisons"] if entry["tier"] == "tensors"}
    assert {"boxes", "scores"} <= {name for what in tensors for name in what.split()}
    assert {entry["tier"] for entry in record["comparisons"]} >= {"structure", "tensors", "decoded"}


@pytest.mark.parametrize(
    "change", ["stride", *(pytest.param(name, marks=pytest.mark.slow) for name in ("weight", "clip"))]
)
def test_faults_are_seen(nano_decoded, tmp_path, change):
    model = onnx.load(nano_decoded.onnx)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def scale(tensor, factor):
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), tensor.name))

    if change == "weight":
        scale(max(constants.values(), key=lambda tensor: np.prod(tensor.dims)), 1.02)
    elif change == "stride":
        scale(next(tensor for tensor in constants.values() if numpy_helper.to_array(tensor).tolist() == 8.0), 2)
    else:
        node = next(node for node in model.graph.node if node.op_type == "Exp")
        node.op_type = "Abs"
    path = tmp_path / "yolox-decoded.onnx"
    path.write_bytes(with_digest(model))
    assert judge_file(path, nano_decoded.weights).verdict == "failed"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("folded", "outputs of the form 'folded', which this version of yolox does not have"),
        ("raw", "has not the inputs and outputs of yolox"),
        ("e2e", "has not the inputs and outputs of yolox"),
    ],
)
def test_a_seal_of_another_form_than_the_file(nano_decoded, tmp_path, form, message):
    model = onnx.load(nano_decoded.onnx)
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    entry.value = json.dumps(json.loads(entry.value) | {"form": form})
    path = tmp_path / f"yolox-{form}.onnx"
    path.write_bytes(with_digest(model))
    with pytest.raises(ArtifactError, match=message):
        load(path, backend="onnx")


def test_models_that_have_no_such_form(tmp_path, capsys):
    words = ["landmarks68", "--weights", "seeded", "--form", "decoded", "-o", str(tmp_path)]
    assert run_command(cvexport, words) == 2
    assert "already decoded" in capsys.readouterr().err


# --- suppression inside


def test_e2e_gives_the_boxes_of_the_raw_file(nano_artifact, nano_e2e, pictures):
    seal = read_seal(nano_e2e.onnx)
    assert (nano_e2e.onnx.name, seal.form, seal.probe) == ("yolox-e2e.onnx", "e2e", None)
    assert not any(check.problems for check in verify_artifact(nano_e2e.onnx))
    with load(nano_artifact.onnx, backend="onnx", threads=1) as raw, load(nano_e2e.onnx, backend="onnx") as e2e:
        assert e2e.backend.declared["count"] == ("int64", (None,))
        black = np.zeros_like(pictures[0])
        for batch in ([pictures[0]], [black, *pictures, black]):
            expected = raw.predict_batch(batch)
            for one, other in zip(e2e.predict_batch(batch), expected, strict=True):
                assert one.labels == other.labels
                np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
                np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        found = raw(pictures[0])
        assert len(found) > 3
        sure = e2e(pictures[0], score_threshold=float(found.scores[2]) - 1e-4)
        assert len(sure) == 3


@pytest.mark.parametrize(
    "changes", [{"score_threshold": 0.1}, {"iou_threshold": 0.3}, {"class_agnostic": True}, {"max_detections": 2000}]
)
def test_what_is_in_the_graph_cannot_be_had_otherwise(nano_e2e, changes):
    with pytest.raises(UsageError, match=r"has .* in its graph"):
        load(nano_e2e.onnx, backend="onnx", **changes)
    ((name, _),) = changes.items()
    own = read_seal(nano_e2e.onnx).postprocess[name]
    load(nano_e2e.onnx, backend="onnx", **{name: own}).close()


def test_fewer_detections_and_some_classes_can_be_had(nano_e2e, pictures):
    with load(nano_e2e.onnx, backend="onnx", max_detections=2) as few:
        assert len(few(pictures[0])) == 2
    with load(nano_e2e.onnx, backend="onnx") as all_classes, load(nano_e2e.onnx, backend="onnx", classes=[0]) as one:
        expected = [score for label, score, _ in all_classes(pictures[0]) if label == all_classes.labels[0]]
        assert [score for _, score, _ in one(pictures[0])] == expected


@pytest.mark.parametrize(
    "change",
    [
        *("score_threshold", "one picture"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("weight", "iou_threshold", "class", "order")),
    ],
)
def test_faults_in_the_suppression_are_seen(nano_e2e, tmp_path, change):
    model = onnx.load(nano_e2e.onnx)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = {node.op_type: node for node in model.graph.node if node.name.startswith("suppression/")}

    def put(tensor, value):
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), tensor.name))

    if change == "weight":
        largest = max(constants.values(), key=lambda tensor: np.prod(tensor.dims))
        put(largest, numpy_helper.to_array(largest) * np.float32(1.02))
    elif change == "score_threshold":
        put(constants["suppression/score_threshold"], np.float32(0.5))
    elif change == "iou_threshold":
        put(constants[nodes["NonMaxSuppression"].input[3]], np.float32(0.5))
    elif change == "class":
        put(constants[nodes["Mod"].input[1]], np.int64(2))
    elif change == "order":
        nodes["TopK"].attribute.append(helper.make_attribute("largest", 0))
    else:  # only the first picture is suppressed
        scatter = nodes["ScatterND"]
        places = next(node for node in model.graph.node if node.output[0] == scatter.input[1])
        zero = helper.make_node("Mul", [places.input[0], "suppression/no"], ["suppression/first"])
        model.graph.initializer.append(numpy_helper.from_array(np.int64(0), "suppression/no"))
        places.input[0] = "suppression/first"
        model.graph.node.insert(list(model.graph.node).index(places), zero)
    path = tmp_path / "yolox-e2e.onnx"
    path.write_bytes(with_digest(model))
    record = judge_file(path, nano_e2e.weights)
    assert record.verdict == "failed"


def test_a_search_in_pytorch_is_refused(nano_e2e):
    with pytest.raises(UsageError, match="goes on after what its network gives"):
        bisect(nano_e2e.onnx, weights=str(nano_e2e.weights))
