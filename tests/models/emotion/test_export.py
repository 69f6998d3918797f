"""The way from weights to a judged file, and that the gate sees what goes wrong on it."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cvport.models.emotion.spec import SPEC
from cvport.models.weights.checkpoint import Checkpoint
from cvport.runtimes.parity.tensors import measure_tensor
from cvport.runtimes.seal import KEY
from helpers.gate import Exported, failed, failed_names

NAME = "vit.layers.0.attention.v_proj.weight"


@pytest.fixture(scope="module")
def made(small):
    return Exported(SPEC, Checkpoint(SPEC.seeded(0, small), "seeded:0", "0" * 64, untrained=True))


def test_clean_export_passes(made, tmp_path):
    record = made.verify(tmp_path)
    assert record["verdict"] == "passed"
    assert {entry["tier"] for entry in record["comparisons"]} >= {"tensors", "spread", "decoded", "seal"}


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("preprocess", {"colour": "bgr"}),
        ("preprocess", {"mean": [103.53, 116.28, 123.675]}),
        ("preprocess", {"std": [255.0, 255.0, 255.0]}),
    ],
    ids=str,
)
def test_a_fault_in_what_is_sealed_is_seen_in_the_decoded_results(made, tmp_path, part, changes):
    record = made.verify(tmp_path, made.with_sealed(part, **changes))
    assert record["verdict"] == "failed"
    assert failed(record, "decoded")
    assert not failed(record, "tensors")
    assert failed_names(record, "seal") == [part]


def test_one_tensor_scaled_by_one_percent_is_seen(made, tmp_path):
    network = made.build(**{NAME: made.checkpoint.state[NAME] * np.float32(1.01)})
    assert set(failed_names(made.verify(tmp_path, reference=made.refer(network)), "tensors")) == {"logits"}


def test_the_approximate_gelu_is_seen(made, tmp_path):
    network = SPEC.build_network(made.checkpoint.state, replace(made.plan.variant, activation="gelu_pytorch_tanh"))
    assert set(failed_names(made.verify(tmp_path, reference=made.refer(network)), "tensors")) == {"logits"}


def test_inputs_and_outputs_are_the_contract(made):
    session = onnxruntime.InferenceSession(made.onnx, providers=["CPUExecutionProvider"])
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("pixel_values", ["batch", 3, 48, 48])]
    assert [(x.name, x.shape) for x in session.get_outputs()] == [("logits", ["batch", 7])]
    for batch in (1, 5):
        pixels = np.random.default_rng(batch).normal(size=(batch, 3, 48, 48)).astype(np.float32)
        (logits,) = session.run(None, {"pixel_values": pixels})
        with torch.inference_mode():
            expected = made.network(torch.from_numpy(pixels))["logits"]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5)


def test_the_seal_tells_labels_and_numbers(made):
    (entry,) = (prop for prop in onnx.load_from_string(made.onnx).metadata_props if prop.key == KEY)
    content = json.loads(entry.value)
    assert content["labels"] == list(SPEC.labels)
    assert content["preprocess"]["colour"] == "rgb"
    assert content["variant"]["heads"] == 2


def test_a_network_whose_rounding_differs_much_between_pictures_passes(small, tmp_path):
    """Large weights make sharp attention, whose errors depend on the picture: one picture would not tell them."""
    state = {key: value * np.float32(4 if "_proj" in key else 1) for key, value in SPEC.seeded(3, small).items()}
    made = Exported(SPEC, Checkpoint(state, "here", "0" * 64, untrained=True))
    floor = made.reference.floor["logits"]
    record = made.verify(tmp_path)
    assert record["verdict"] == "passed"
    per_picture = [
        measure_tensor(*(np.asarray(run[i : i + 1]) for run in _exact_and_own(made))).max_abs for i in range(4)
    ]
    assert floor.max_abs == pytest.approx(max(per_picture))
    assert max(per_picture) > 1.5 * min(per_picture)


def _exact_and_own(made):
    inputs = torch.from_numpy(np.concatenate([case.inputs for case in made.reference.cases]))
    own = np.concatenate([case.outputs["logits"] for case in made.reference.cases])
    with torch.inference_mode():
        exact = made.network.double()(inputs.double())["logits"].numpy()
        made.network.float()
    return exact, own
