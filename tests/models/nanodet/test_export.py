"""The way from untrained weights to a published file, and that the gate sees what goes wrong on it."""

import numpy as np
import onnxruntime
import pytest

import cvport
from cvport.exporters.commands.cvexport import cvexport
from cvport.models.nanodet.spec import SPEC
from cvport.models.spec import VariantOptions
from cvport.models.weights.files import open_weights
from cvport.runtimes.commands.console import run_command
from helpers.gate import Exported, failed, failed_names

NAME = "fpn.bottom_up_blocks.1.blocks.0.ghost1.primary_conv.0.weight"


@pytest.fixture(scope="module")
def made():
    return Exported(SPEC, open_weights(SPEC, "seeded"), VariantOptions(input_size=(192, 192)))


def test_clean_export_passes_and_every_output_is_informative(made, tmp_path):
    record = made.verify(tmp_path)
    assert record["verdict"] == "passed"
    spreads = [entry["what"] for entry in record["comparisons"] if entry["tier"] == "spread"]
    assert tuple(spreads) == SPEC.output_names
    decoded = [entry["figures"] for entry in record["comparisons"] if entry["tier"] == "decoded"]
    assert all(figures["matched"] > 10 for figures in decoded)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("preprocess", {"colour": "rgb"}),
        ("preprocess", {"alignment": "half_pixel"}),
        ("preprocess", {"mean": [123.675, 116.28, 103.53]}),
        ("preprocess", {"std": [1.0, 1.0, 1.0]}),
        ("postprocess", {"prior_offset": 0.5}),
        ("postprocess", {"iou_threshold": 0.2}),
    ],
    ids=str,
)
def test_a_fault_in_what_is_sealed_is_seen_in_the_decoded_results(made, tmp_path, part, changes):
    record = made.verify(tmp_path, made.with_sealed(part, **changes))
    assert record["verdict"] == "failed"
    assert failed(record, "decoded")
    assert not failed(record, "tensors")
    assert failed_names(record, "seal") == [part]


def test_strides_of_another_network_are_refused(made, tmp_path):
    record = made.verify(tmp_path, made.with_sealed("postprocess", strides=[8, 16, 32, 32]))
    assert record["verdict"] == "failed"
    assert "cls_score_3 is (any, 3, 3, 3), it should be (any, 3, 6, 6)" in failed(record, "run")[0]["reasons"][0]
    assert failed_names(record, "seal") == ["postprocess"]


def test_a_fault_in_the_reference_leg_is_seen_too(made, tmp_path):
    record = made.verify(tmp_path, reference=made.refer(made.network, preprocess={"alignment": "half_pixel"}))
    assert failed(record, "decoded")


def test_one_tensor_scaled_by_one_percent_is_seen(made, tmp_path):
    network = made.build(**{NAME: made.checkpoint.state[NAME] * np.float32(1.01)})
    assert failed(made.verify(tmp_path, reference=made.refer(network)), "tensors")


def test_another_slope_is_seen_in_every_output(made, tmp_path):
    network = made.build()
    for module in network.modules():
        if hasattr(module, "negative_slope"):
            module.negative_slope = 0.01
    assert len(set(failed_names(made.verify(tmp_path, reference=made.refer(network)), "tensors"))) == 8


def test_inputs_and_outputs_are_the_contract(made):
    session = onnxruntime.InferenceSession(made.onnx)
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("input", ["batch", 3, 192, 192])]
    sides = (24, 12, 6, 3)
    assert [(x.name, x.shape) for x in session.get_outputs()] == [
        (f"{kind}_{level}", ["batch", channels, side, side])
        for level, side in enumerate(sides)
        for kind, channels in (("cls_score", 3), ("bbox_pred", 32))
    ]
    for batch in (1, 5):
        outputs = session.run(None, {"input": np.zeros((batch, 3, 192, 192), np.float32)})
        assert {len(value) for value in outputs} == {batch}


def test_commands(tmp_path, capsys):
    arguments = ["nanodet", "--weights", "seeded", "--input-size", "64,96", "-o", str(tmp_path)]
    assert run_command(cvexport, arguments) == 0
    assert "NanoDet-Plus-m, 3 classes  (untrained weights): 645/645 tensors, 1,168,048" in capsys.readouterr().out
    with cvport.load(tmp_path / "nanodet/nanodet.onnx", backend="onnx", score_threshold=0.05) as predictor:
        found = predictor(np.random.default_rng(0).integers(0, 256, (100, 70, 3), dtype=np.uint8))
    assert set(found.labels) <= {"person", "face", "hand"}
    assert len(found)
    assert run_command(cvexport, ["show", "nanodet"]) == 0
    shown = capsys.readouterr().out
    assert "ms:iic/cv_nanodet_face-human-hand-detection" in shown
    assert "activation" not in shown
