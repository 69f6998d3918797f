"""Files that give boxes and scores: exported, judged and run as any other, with the results of the raw file."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cvport.errors import ArtifactError
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


@pytest.mark.parametrize("change", ["weight", "stride", "clip"])
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


def test_a_form_that_this_version_does_not_have(nano_decoded, tmp_path):
    model = onnx.load(nano_decoded.onnx)
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    entry.value = json.dumps(json.loads(entry.value) | {"form": "folded"})
    path = tmp_path / "yolox-folded.onnx"
    path.write_bytes(with_digest(model))
    with pytest.raises(ArtifactError, match="outputs of the form 'folded', which this version of yolox does not have"):
        load(path, backend="onnx")


def test_a_seal_of_another_form_than_the_file(nano_artifact, tmp_path):
    model = onnx.load(nano_artifact.onnx)
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    entry.value = json.dumps(json.loads(entry.value) | {"form": "decoded"})
    path = tmp_path / "yolox-decoded.onnx"
    path.write_bytes(with_digest(model))
    with pytest.raises(ArtifactError, match="has not the inputs and outputs of yolox"):
        load(path, backend="onnx")


def test_models_that_have_no_such_form(tmp_path, capsys):
    words = ["landmarks68", "--weights", "seeded", "--form", "decoded", "-o", str(tmp_path)]
    assert run_command(cvexport, words) == 2
    assert "already decoded" in capsys.readouterr().err
