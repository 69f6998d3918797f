"""The gate itself is tested by planting one fault in one leg: each must be seen, and a clean export must pass."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from cvport.models.registry import get_model
from cvport.models.weights.checkpoint import Checkpoint
from helpers.gate import Exported, failed

# Convolutions at the start, in the middle and at the end, ordinary, depthwise and pointwise.
WEIGHTS = (
    "backbone.backbone.stem.conv.conv.weight",
    "backbone.backbone.dark3.1.m.1.conv2.dconv.conv.weight",
    "backbone.C3_n3.conv3.conv.weight",
    "head.reg_convs.1.0.pconv.conv.weight",
    "head.obj_preds.2.weight",
)


def test_clean_export_passes(small, tmp_path):
    record = small.verify(tmp_path)
    assert record["verdict"] == "passed"
    tiers = {"seal", "structure", "algebra", "spread", "tensors", "batches", "decoded"}
    assert {entry["tier"] for entry in record["comparisons"]} == tiers
    decoded = [entry["figures"] for entry in record["comparisons"] if entry["tier"] == "decoded"]
    # Never empty: untrained networks are compared on their best candidates.
    assert all(figures["matched"] > 20 for figures in decoded)
    tensors = [entry["figures"]["max_abs"] for entry in record["comparisons"] if entry["tier"] == "tensors"]
    assert max(tensors) < 1e-3


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("preprocess", {"colour": "bgr"}),
        ("preprocess", {"interpolation": "nearest"}),
        ("preprocess", {"interpolation": "area"}),
        ("preprocess", {"pad_value": 0}),
        ("preprocess", {"mean": [0.0, 0.0, 0.0]}),
        ("preprocess", {"rounding": "down", "input_size": [160, 160], "box_scale": "ratio"}),
        ("postprocess", {"activation": "none"}),
        ("postprocess", {"iou_threshold": 0.3}),
    ],
)
def test_wrong_seal_is_seen_in_decoded_results(small, tmp_path, part, changes):
    record = small.verify(tmp_path, small.with_sealed(part, **changes))
    assert record["verdict"] == "failed"
    assert failed(record, "decoded")
    assert [entry["what"] for entry in failed(record, "seal")] == [part]


def test_wrong_strides_are_refused_before_anything_is_decoded(small, tmp_path):
    record = small.verify(tmp_path, small.with_sealed("postprocess", strides=[8, 16, 64]))
    assert record["verdict"] == "failed"
    (entry,) = failed(record, "run")
    assert "cls_2 is (any, 3, 5, 5), it should be (any, 3, 3, 3)" in entry["reasons"][0]
    assert [entry["what"] for entry in failed(record, "seal")] == ["postprocess"]


def test_wrong_threshold_is_seen_in_decoded_results(small, tmp_path):
    # Over a low threshold an untrained network detects something too, as a trained one does over the usual one.
    data = small.with_sealed("postprocess", score_threshold=0.2)
    reference = small.refer(small.network, untrained=False, postprocess={"score_threshold": 0.1})
    record = small.verify(tmp_path, data, reference)
    assert all(entry["figures"]["candidates"] == "over the threshold" for entry in failed(record, "decoded"))
    assert failed(record, "decoded")
    assert failed(record, "seal")


def test_wrong_threshold_is_seen_in_the_seal_alone(small, tmp_path):
    record = small.verify(tmp_path, small.with_sealed("postprocess", score_threshold=0.31))
    assert [entry["what"] for entry in failed(record, "seal")] == ["postprocess"]
    assert record["verdict"] == "failed"


@pytest.mark.parametrize("name", WEIGHTS)
def test_one_tensor_scaled_by_one_percent_fails(small, tmp_path, name):
    record = small.verify(tmp_path, small.with_weights(name, lambda value: value * np.float32(1.01)))
    assert failed(record, "tensors")


@pytest.mark.parametrize("name", WEIGHTS)
def test_one_tensor_scaled_by_one_percent_in_the_reference_fails(small, tmp_path, name):
    network = small.build(**{name: small.checkpoint.state[name] * np.float32(1.01)})
    assert failed(small.verify(tmp_path, reference=small.refer(network)), "tensors")


def test_changed_batch_norm_eps_fails(small, tmp_path):
    network = copy.deepcopy(small.network)
    for module in network.modules():
        if hasattr(module, "running_var"):
            module.eps = 1e-5
    record = small.verify(tmp_path, reference=small.refer(network))
    assert len({entry["what"] for entry in failed(record, "tensors")}) == 9


def test_nearest_for_bilinear_between_the_legs_fails(small, tmp_path):
    reference = small.refer(small.network, preprocess={"interpolation": "nearest"})
    record = small.verify(tmp_path, reference=reference)
    assert failed(record, "decoded")
    assert not failed(record, "tensors")  # the same arrays go through both networks


def test_nan_fails(small, tmp_path):
    def spoil(value):
        value.reshape(-1)[0] = np.nan
        return value

    record = small.verify(tmp_path, small.with_weights(WEIGHTS[2], spoil))
    assert any("not finite" in reason for entry in failed(record, "tensors") for reason in entry["reasons"])


def test_nan_in_both_legs_fails(small, tmp_path):
    network = small.build(**{WEIGHTS[4]: np.full_like(small.checkpoint.state[WEIGHTS[4]], np.nan)})
    data = small.with_weights(WEIGHTS[4], lambda value: np.full_like(value, np.nan))
    record = small.verify(tmp_path, data, small.refer(network))
    assert {entry["what"] for entry in failed(record, "tensors")} == {"obj_2"}


def test_constant_output_is_uninformative(small, tmp_path):
    name = "head.cls_preds.0.weight"
    network = small.build(**{name: np.zeros_like(small.checkpoint.state[name])})
    data = small.with_weights(name, np.zeros_like)
    record = small.verify(tmp_path, data, small.refer(network))
    # Both legs agree on it exactly, and still it must not pass.
    assert not failed(record, "tensors")
    assert [(entry["what"], entry["verdict"]) for entry in failed(record, "spread")] == [("cls_0", "uninformative")]
    assert record["verdict"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_clean_nano_networks_pass(make_small, tmp_path, seed):
    made = make_small(seed=seed, size=(160, 320, 416)[seed % 3], num_classes=(1, 3, 80)[seed % 3])
    # As untrained networks are compared, and as trained ones: on what is over the threshold.
    reference = made.refer(made.network, untrained=seed % 2 == 0)
    record = made.verify(tmp_path, reference=reference)
    assert record["verdict"] == "passed", [e for e in record["comparisons"] if e["verdict"] != "passed"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["hand_static", "emotion"])
def test_clean_classifiers_pass(tmp_path, name, seed):
    spec = get_model(name)
    if name == "emotion":
        from cvport.models.emotion.spec import SPEC
        from cvport.models.emotion.variant import Variant

        sizes = {"hidden": 128, "layers": 3, "heads": 2, "intermediate": 256, "patch": 16, "image_size": (64, 64)}
        state = SPEC.seeded(seed, Variant(**sizes, num_classes=(2, 7, 30)[seed % 3]))
    else:
        state = spec.seeded(seed)
    made = Exported(spec, Checkpoint(state, "here", "0" * 64, untrained=True))
    record = made.verify(tmp_path)
    assert record["verdict"] == "passed", [e for e in record["comparisons"] if e["verdict"] != "passed"]
