"""What a file consists of is compared with its network: faults that hide in the noise, or that no input reaches."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cvport.exporters.gate.structure import compare_structure
from helpers.gate import failed_names, with_digest
from mutation.plantings import PLANTINGS, clip, planted

WEIGHT = "backbone.backbone.dark3.1.m.1.conv2.dconv.conv.weight"
BY_NAME = {planting.name: planting for planting in PLANTINGS}


def compared(small, folder, data):
    path = folder / "file.onnx"
    path.write_bytes(data)
    return {entry.what: entry for entry in compare_structure(path, small.structure)}


def test_a_clean_file_consists_of_its_network(small, tmp_path):
    entries = compared(small, tmp_path, small.onnx)
    assert {entry.judgement.verdict for entry in entries.values()} == {"passed"}
    assert entries["weights"].figures["tensors"] == len(small.structure.weights) == 226
    assert entries["operators"].figures["operators"] > 300


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a tensor in float16", "values, by"),
        ("one value times 1.1", "differs in 1 of"),
        ("one bit of a mantissa", "differs in 1 of"),
        ("one value zero", "differs in 1 of"),
    ],
)
def test_weights_are_those_of_the_network_to_the_bit(small, tmp_path, name, shown):
    data, where = planted(small.onnx, BY_NAME[name], [3])
    weights = compared(small, tmp_path, data)["weights"]
    assert weights.judgement.verdict == "failed"
    assert where in weights.judgement.reasons[0]
    assert shown in weights.judgement.reasons[0]


def test_the_sign_of_zero_and_a_shape_are_seen(small, tmp_path):
    def negative_zero(weight):
        weight.reshape(-1)[0] = -0.0
        return weight

    clean = small.with_weights(WEIGHT, lambda weight: weight * np.float32(0))
    assert compared(small, tmp_path, clean)["weights"].judgement.verdict == "failed"
    flat = compared(small, tmp_path, small.with_weights(WEIGHT, np.ravel))["weights"]
    assert "is float32 [" in flat.judgement.reasons[0]
    assert compared(small, tmp_path, small.with_weights(WEIGHT, negative_zero))["weights"].judgement.verdict == "failed"


@pytest.mark.parametrize("factor", [1.02, 1.5, 2.0])
def test_a_bound_that_nothing_reaches(small, tmp_path, factor):
    """It changes no output of any probe; in a photograph it may."""
    largest = {node.output[0]: 1e6 for node in onnx.load_from_string(small.onnx).graph.node if node.op_type == "Conv"}
    data, _ = planted(small.onnx, clip(factor, largest), [1])
    record = small.verify(tmp_path, data)
    assert failed_names(record, "structure") == ["constants", "operators"]
    assert not failed_names(record, "tensors")
    assert record["verdict"] == "failed"


def test_operators_and_constants_that_the_network_has_no_reason_for(small, tmp_path):
    data, _ = planted(small.onnx, BY_NAME["Cast to float16 and back"], [1])
    assert compared(small, tmp_path, data)["operators"].judgement.reasons == ("2 Cast more than the network has",)
    data, _ = planted(small.onnx, BY_NAME["Mul by nearly one"], [1])
    entries = compared(small, tmp_path, data)
    assert entries["operators"].judgement.reasons == ("1 Mul more than the network has",)
    assert "is no tensor of the network" in entries["constants"].judgement.reasons[0]
    model = onnx.load_from_string(small.onnx)
    model.graph.node[0].domain = "com.microsoft"
    assert "com.microsoft" in str(compared(small, tmp_path, model.SerializeToString())["operators"].judgement.reasons)


@pytest.mark.parametrize("name", ["mode of Resize", "pads of a convolution", "axis"])
def test_attributes_are_those_of_the_network(small, tmp_path, name):
    data, _ = planted(small.onnx, BY_NAME[name], [2])
    (reason,) = compared(small, tmp_path, data)["operators"].judgement.reasons
    assert "with other attributes than the network's" in reason


def test_a_tensor_with_its_axes_moved_is_explained_and_shuffled_it_is_not(small, tmp_path):
    value = small.structure.weights["head.cls_preds.0.weight"]

    def with_constant(array):
        model = onnx.load_from_string(small.onnx)
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), "moved"))
        model.graph.node.append(helper.make_node("Identity", ["moved"], ["unused"]))
        return with_digest(model)

    moved = compared(small, tmp_path, with_constant(value.transpose(1, 0, 2, 3).reshape(64, 3)))
    assert moved["constants"].judgement.verdict == "passed"
    shuffled = compared(small, tmp_path, with_constant(np.random.default_rng(0).permutation(value.reshape(-1))))
    assert shuffled["constants"].judgement.verdict == "failed"


def test_folding_is_judged_in_float64(small, tmp_path, monkeypatch):
    """A slope of a millionth in a folded tensor is far below the noise of float32."""
    from cvport.models.ops import fusion

    right = fusion.fold_batch_norm

    def wrong(weight, bias, bn):
        folded, shift = right(weight, bias, bn)
        return folded * (1 + 1e-7), shift

    monkeypatch.setattr(fusion, "fold_batch_norm", wrong)
    record = small.verify(tmp_path, reference=small.refer(small.network))
    assert len(failed_names(record, "algebra")) == 9
    assert not failed_names(record, "tensors")
