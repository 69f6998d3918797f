"""The legs of an NPU, on a simulated device: the gate passes at the device's precision, and fails for a real defect."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cvport import BackendError, ParityIncomplete
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.gate import legs as module
from cvport.exporters.gate.legs import LEGS, Subject, choose_legs, run_legs
from cvport.runtimes.backends import npu as npu_backend
from cvport.runtimes.commands.console import run_command

WEIGHT = "backbone.backbone.dark3.1.m.1.conv2.dconv.conv.weight"
ALL = ("torch", "onnx", "npu")


def failed(record, legs):
    return [entry for entry in record["comparisons"] if entry["legs"] == legs and entry["verdict"] != "passed"]


def test_every_pair_of_legs_is_compared(npu, small, tmp_path):
    record = small.verify(tmp_path, legs=ALL)
    assert record["verdict"] == "passed"
    pairs = {entry["legs"] for entry in record["comparisons"]}
    assert pairs == {
        *("", "torch", "onnx", "torch-onnx", "torch-npu", "onnx-npu"),
        *("torch-npu-production", "onnx-npu-production"),
    }
    assert all(entry["counts"] != entry["legs"].endswith("production") for entry in record["comparisons"])
    strict, production = record["legs"]["npu"], record["legs"]["npu-production"]
    assert (strict["verdict"], production["verdict"]) == ("passed", "passed")
    assert (strict["counts"], production["counts"]) == (True, False)

    def worst(legs):
        tensors = (e for e in record["comparisons"] if e["legs"] == legs and e["tier"] == "tensors")
        return max(entry["figures"]["max_abs"] for entry in tensors)

    # HF32 keeps 13 bits fewer: seen, and within what rounding the reference's convolutions tells to expect.
    assert worst("torch-npu") < 1e-4
    assert 20 * worst("torch-npu") < worst("torch-npu-production")
    assert [leg["settings"]["conv_allow_hf32"] for leg in (strict, production)] == [False, True]
    assert strict["simulated"]
    decoded = strict["limits"]["decoded"]
    assert (decoded["score"], decoded["mean_score"], decoded["px"]) == (1e-2, 1e-4, 1.0)


def test_one_percent_on_one_tensor_of_the_device_fails(npu, small, tmp_path):
    network = small.build(**{WEIGHT: small.checkpoint.state[WEIGHT] * np.float32(1.01)})
    record = small.verify(tmp_path, network=network, legs=ALL)
    assert record["verdict"] == "failed"
    assert failed(record, "torch-npu")
    assert failed(record, "onnx-npu")
    assert not failed(record, "torch-onnx")


@pytest.mark.parametrize("fault", ["one percent", "swapped channels"])
def test_a_fault_beyond_hf32_fails_at_production_precision(npu, small, tmp_path, fault):
    """What HF32 rounds away is measured for each case; a fault of a few times that is no rounding."""
    weight = small.checkpoint.state[WEIGHT]
    changed = weight * np.float32(1.01) if fault == "one percent" else weight[[1, 0, *range(2, len(weight))]]
    record = small.verify(tmp_path, network=small.build(**{WEIGHT: changed}), legs=ALL)
    assert record["legs"]["npu-production"]["verdict"] == "failed"
    assert failed(record, "torch-npu-production")


def test_clean_runs_at_production_precision_have_room(npu, small, tmp_path):
    record = small.verify(tmp_path, legs=ALL)
    shares = [
        entry["figures"][figure] / limit
        for entry in record["comparisons"]
        if entry["legs"] == "torch-npu-production" and entry["tier"] == "tensors"
        for figure, limit in entry["limits"].items()
    ]
    assert 0.01 < max(shares) < 0.8


def test_hf32_left_on_is_not_taken_for_strict(npu, small, tmp_path, monkeypatch):
    monkeypatch.setitem(npu_backend._HF32, "strict", (True, False))
    record = small.verify(tmp_path, legs=ALL)
    assert failed(record, "torch-npu")
    assert record["legs"]["npu-production"]["verdict"] == "passed"


def test_export_runs_the_third_leg_where_there_is_a_device(npu, weights, tmp_path, capsys):
    arguments = ["yolox", "--weights", str(weights), "--input-size", "160", "--require", "npu", "-o", str(tmp_path)]
    assert run_command(cvexport, arguments) == 0
    out = capsys.readouterr().out
    assert "legs: torch ran, onnx ran, npu ran (simulated)" in out
    assert "(for the record, it does not decide)" in out
    record = json.loads((tmp_path / "yolox/parity.json").read_text())
    leg = record["legs"]["npu"]
    assert (leg["status"], leg["device"], leg["precision"]) == ("ran", "npu:0", "strict")
    assert (leg["settings"]["soc"], leg["simulated"]) == ("Ascend910B3", True)


# --- what will run, and what became of it


def test_a_status_is_set_when_a_leg_has_run(small, monkeypatch):
    def fail(_leg, _subject):
        raise BackendError("npu:0 failed: error 507", "Look at it.")

    rows = tuple(replace(leg, run=fail) if leg.backend == "npu" else leg for leg in LEGS if leg.name != "onnx")
    monkeypatch.setattr(module, "LEGS", rows)
    subject = Subject(small.reference, small.network)
    runs = {run.leg.name: run for run in run_legs(subject, {leg.name: "" for leg in rows})}
    assert runs["torch"].ran
    assert (runs["npu"].status, runs["npu"].cases) == ("not run", ())
    assert runs["npu"].reason == "it failed: npu:0 failed: error 507\nLook at it."
    with pytest.raises(ParityIncomplete, match="npu leg cannot run: npu:0 failed"):
        run_legs(subject, {leg.name: "" for leg in rows}, require=["npu"])


def test_a_needed_leg_that_fails_ends_the_export(small, monkeypatch):
    def fail(_leg, _subject):
        raise BackendError("gone")

    monkeypatch.setattr(module, "LEGS", (replace(LEGS[0], run=fail),))
    with pytest.raises(BackendError, match="gone"):
        run_legs(Subject(small.reference, small.network), {"torch": ""})


def test_legs_that_are_not_asked_for_do_not_run():
    reasons = choose_legs(("torch", "onnx"), ())
    assert (reasons["torch"], reasons["onnx"]) == ("", "")
    assert reasons["npu"] == reasons["npu-production"] == "not asked for"
