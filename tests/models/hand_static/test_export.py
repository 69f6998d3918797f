"""The way from untrained weights to a file, and that the gate sees what goes wrong on it."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import cvport
from cvport.exporters.gate.probes import built_in_cases
from cvport.models.hand_static.preprocess import preprocess
from cvport.models.hand_static.spec import SPEC
from cvport.models.weights.files import open_weights
from helpers.gate import Exported, failed, failed_names

NAME = "feature_extractor.conv_4.model.3.conv.conv.weight"


@pytest.fixture(scope="module")
def made():
    return Exported(SPEC, open_weights(SPEC, "seeded"))


def test_clean_export_passes_and_scores_are_informative(made, tmp_path):
    record = made.verify(tmp_path)
    assert record["verdict"] == "passed"
    (spread,) = (entry for entry in record["comparisons"] if entry["tier"] == "spread")
    assert (spread["what"], spread["verdict"]) == ("scores", "passed")
    assert spread["figures"]["spread"] > 0.1
    assert len([entry for entry in record["comparisons"] if entry["tier"] == "decoded"]) == 8


@pytest.mark.parametrize(
    "changes", [{"colour": "bgr"}, {"mean": [127.5, 127.5, 100.0]}, {"std": [127.5, 128.5, 127.5]}], ids=str
)
def test_a_fault_in_what_is_sealed_is_seen_in_the_decoded_results(made, tmp_path, changes):
    record = made.verify(tmp_path, made.with_sealed("preprocess", **changes))
    assert record["verdict"] == "failed"
    assert failed(record, "decoded")
    assert not failed(record, "tensors")
    assert failed_names(record, "seal") == ["preprocess"]


def test_one_tensor_scaled_by_one_percent_is_seen(made, tmp_path):
    network = made.build(**{NAME: made.checkpoint.state[NAME] * np.float32(1.01)})
    assert failed(made.verify(tmp_path, reference=made.refer(network)), "tensors")


def test_one_slope_that_is_a_little_off_is_seen(made, tmp_path):
    state = {key: value.copy() for key, value in made.checkpoint.state.items()}
    state["feature_extractor.conv_3.model.1.conv_dw.prelu.weight"][5] += 0.01
    network = SPEC.build_network(state, made.plan.variant)
    assert failed(made.verify(tmp_path, reference=made.refer(network)), "tensors")


def test_the_file_is_the_contract(made):
    session = onnxruntime.InferenceSession(made.onnx, providers=["CPUExecutionProvider"])
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("input", ["batch", 3, 112, 112])]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [("scores", ["batch", 15])]
    for batch in (1, 5):
        (scores,) = session.run(None, {"input": np.zeros((batch, 3, 112, 112), np.float32)})
        assert scores.shape == (batch, 15)


def test_the_file_holds_the_form_for_onnx_runtime(made):
    kinds = Counter(node.op_type for node in onnx.load_from_string(made.onnx).graph.node)
    assert "PRelu" not in kinds
    assert kinds["Relu"] == 33
    assert kinds["Conv"] == 49 + 2 * 33
    assert not {"BatchNormalization", "Mul"} & set(kinds)


def test_the_file_classifies_pictures_by_name(made, tmp_path):
    path = tmp_path / "hand_static.onnx"
    path.write_bytes(made.onnx)
    pictures = [region.image for case in built_in_cases("dynamic") for region in case.regions]
    with cvport.load(path, backend="onnx") as predictor:
        results = predictor.predict_batch(pictures)
    inputs = np.stack([preprocess(picture, made.plan.preprocess)[0] for picture in pictures])
    with torch.inference_mode():
        expected = made.network(torch.from_numpy(inputs))["scores"].numpy()
    assert [result.label for result in results] == [SPEC.labels[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose([result.scores for result in results], expected, rtol=0, atol=1e-5)
