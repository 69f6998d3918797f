"""The way from untrained weights to an exported file, and that the gate sees what goes wrong on it."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cvport.models.landmarks68 import blocks, network
from cvport.models.landmarks68.spec import SPEC
from cvport.models.landmarks68.variant import Variant
from cvport.models.weights.checkpoint import Checkpoint
from helpers.gate import Exported, failed, failed_names

# Structurally complete and quick.
SMALL = Variant(stem=8, width=16, levels=1, stacks=2)


@pytest.fixture(scope="module")
def made():
    return Exported(SPEC, Checkpoint(SPEC.seeded(0, SMALL), "seeded:0", "0" * 64, untrained=True))


def test_clean_export_passes_and_is_informative(made, tmp_path):
    record = made.verify(tmp_path)
    assert record["verdict"] == "passed"
    assert [entry["what"] for entry in record["comparisons"] if entry["tier"] == "spread"] == ["landmarks"]
    assert {entry["case"] for entry in record["comparisons"] if entry["tier"] == "decoded"} == {
        "landscape",
        "portrait, tiny, noise",
        "black, test card, dark, natural",
        "faces",
    }


@pytest.mark.parametrize(
    ("part", "changes", "cases"),
    [
        ("preprocess", {"colour": "rgb"}, ("faces", "landscape")),
        ("preprocess", {"value_range": [0.0, 1.0]}, ("faces", "landscape")),
        ("preprocess", {"box_unit": 200.0}, ("faces",)),
        ("preprocess", {"crop_unit": 210.0}, ("faces",)),
    ],
    ids=str,
)
def test_a_fault_in_what_is_sealed_is_seen_in_the_decoded_results(made, tmp_path, part, changes, cases):
    record = made.verify(tmp_path, made.with_sealed(part, **changes))
    assert record["verdict"] == "failed"
    others = {"portrait, tiny, noise", "black, test card, dark, natural"}
    assert set(failed_names(record, "decoded", "case")) - others == set(cases)
    assert not failed(record, "tensors")


def test_a_sealed_size_that_is_not_that_of_the_input_fails(made, tmp_path):
    record = made.verify(tmp_path, made.with_sealed("postprocess", input_size=[255, 256]))
    assert record["verdict"] == "failed"


@pytest.mark.parametrize("key", ["pre.4.conv2.conv.weight", "hgs.1.low2.bn1.weight", "merge_pointmaps.0.conv.bias"])
def test_one_tensor_scaled_by_one_percent_is_seen(made, tmp_path, key):
    network = made.build(**{key: made.checkpoint.state[key] * np.float32(1.01)})
    record = made.verify(tmp_path, reference=made.refer(network))
    assert failed(record, "tensors")


def no_boundary(monkeypatch):
    monkeypatch.setattr(blocks, "_BOUNDARY_HEAT", 1e9)


def other_epsilon(monkeypatch):
    norm = network.functional.instance_norm
    monkeypatch.setattr(network.functional, "instance_norm", lambda x, eps: norm(x, eps=eps * 100))


@pytest.mark.parametrize("fault", [no_boundary, other_epsilon])
def test_a_fault_in_the_structure_is_seen(made, tmp_path, monkeypatch, fault):
    fault(monkeypatch)
    reference = made.refer(made.build())
    assert failed(made.verify(tmp_path, reference=reference), "tensors")


def test_the_batch_is_dynamic_and_each_picture_to_itself(made):
    session = onnxruntime.InferenceSession(made.onnx)
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("input", ["batch", 3, 256, 256])]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [("landmarks", ["batch", 68, 2])]
    x = np.random.default_rng(0).standard_normal((3, 3, 256, 256), dtype=np.float32)
    (together,) = session.run(None, {"input": x})
    alone = np.concatenate([session.run(None, {"input": x[i : i + 1]})[0] for i in range(len(x))])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    with torch.inference_mode():
        expected = made.network(torch.from_numpy(x))["landmarks"]
    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-5)


def test_only_what_the_landmarks_need_is_in_the_graph(made):
    model = onnx.load_from_string(made.onnx)
    operators = Counter(node.op_type for node in model.graph.node)
    # The contours are given to the points in the last stack alone, whose centroids are one product.
    edges = [node for node in model.graph.node if "e2h_transform.weight" in node.input]
    assert len(edges) == operators["MatMul"] == 1
    # Nothing is worked out from the size of the input but how often the coordinates are repeated.
    assert operators["Resize"] == SMALL.stacks * SMALL.levels
    assert operators["Shape"] <= 1
    assert not {"Range", "If", "Loop", "NonZero", "ScatterND"} & set(operators)
