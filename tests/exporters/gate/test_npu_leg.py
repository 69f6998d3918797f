"""The NPU's leg on a simulated device: the gate passes at the device's precision, and fails for a real defect."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cvport import ParityFailed, VariantOptions, WeightsError
from cvport.errors import ArtifactError
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.export import export
from cvport.exporters.gate.capture import Capture, complete, make_capture
from cvport.exporters.gate.npu_leg import hf32_effect, round_to_hf32, run_npu
from cvport.exporters.publish import verify_sums
from cvport.models.weights.digest import sha256_file
from cvport.runtimes.backends import npu as npu_backend
from cvport.runtimes.commands.console import run_command

OPTIONS = VariantOptions(input_size=(160, 160))
WEIGHT = "backbone.backbone.dark3.1.m.1.conv2.dconv.conv.weight"


def judged(small, folder, run):
    return small.verify(folder, npu=(run, hf32_effect(small.reference, small.network)))


def failed(entries, legs):
    return [entry for entry in entries if entry["legs"] == legs and entry["verdict"] != "passed"]


@pytest.fixture
def run(npu, small):
    return run_npu(small.reference, small.network)


def test_three_legs_pass_and_every_pair_is_compared(small, run, tmp_path):
    record = judged(small, tmp_path, run)
    assert record["verdict"] == "passed"
    strict, production = record["comparisons"], record["npu"]["production"]
    assert {entry["legs"] for entry in strict} == {"", "torch", "torch-onnx", "torch-npu", "onnx-npu"}
    assert production["verdict"] == "passed"
    assert {entry["legs"] for entry in production["comparisons"]} == {"torch-npu", "onnx-npu"}

    def worst(entries):
        tensors = (entry for entry in entries if entry["legs"] == "torch-npu" and entry["tier"] == "tensors")
        return max(entry["figures"]["max_abs"] for entry in tensors)

    # HF32 keeps 13 bits fewer: seen, and within what rounding the reference's convolutions tells to expect.
    assert worst(strict) < 1e-4
    assert 20 * worst(strict) < worst(production["comparisons"])
    settings = record["npu"]["settings"]
    assert [settings[name]["conv_allow_hf32"] for name in ("strict", "production")] == [False, True]
    assert settings["strict"]["simulated"]
    decoded = record["npu"]["limits"]["strict"]["decoded"]
    assert (decoded["score"], decoded["mean_score"], decoded["px"]) == (1e-2, 1e-4, 1.0)


def test_one_percent_on_one_tensor_of_the_device_fails(npu, small, tmp_path):
    network = small.build(**{WEIGHT: small.checkpoint.state[WEIGHT] * np.float32(1.01)})
    record = judged(small, tmp_path, run_npu(small.reference, network))
    assert record["verdict"] == "failed"
    assert failed(record["comparisons"], "torch-npu")
    assert failed(record["comparisons"], "onnx-npu")
    assert not failed(record["comparisons"], "torch-onnx")


def test_hf32_left_on_is_not_taken_for_strict(npu, small, tmp_path, monkeypatch):
    monkeypatch.setitem(npu_backend._HF32, "strict", (True, False))
    record = judged(small, tmp_path, run_npu(small.reference, small.network))
    assert failed(record["comparisons"], "torch-npu")
    assert record["npu"]["production"]["verdict"] == "passed"


def test_hf32_rounds_halves_to_even():
    one, step = 1.0, 2.0**-10
    values = torch.tensor([one, one + step / 2, one + step * 1.5, one + step * 0.51, -(one + step / 2), 0.0])
    expected = torch.tensor([one, one, one + 2 * step, one + step, -one, 0.0])
    assert torch.equal(round_to_hf32(values), expected)
    kept = torch.tensor([one + step, 3.0, -0.375])
    assert torch.equal(round_to_hf32(kept), kept)


def test_export_runs_the_third_leg_where_there_is_a_device(npu, weights, tmp_path, capsys):
    arguments = ["yolox", "--weights", str(weights), "--input-size", "160", "--require", "npu", "-o", str(tmp_path)]
    assert run_command(cvexport, arguments) == 0
    out = capsys.readouterr().out
    assert "torch-npu, strict precision" in out
    assert "npu ran (simulated)" in out
    record = json.loads((tmp_path / "yolox/parity.json").read_text())
    assert record["legs"]["npu"] == {"status": "ran", "device": "npu:0", "soc": "Ascend910B3", "simulated": True}


# --- captures


@pytest.fixture
def capture(npu, weights, tmp_path):
    path = tmp_path / "capture.npz"
    made = make_capture("yolox", weights=weights, options=OPTIONS)
    made.write(path)
    return path


@pytest.fixture
def published(quick, weights, tmp_path):
    return export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, backends=("torch", "onnx"))


def test_capture_completes_a_published_artifact(published, capture):
    before = sha256_file(published.onnx)
    assert json.loads(published.parity.read_text())["legs"]["npu"]["status"] == "not run"
    complete(published.onnx, capture)
    verify_sums(published.folder)
    record = json.loads(published.parity.read_text())
    assert sha256_file(published.onnx) == before == record["onnx_sha256"]
    assert record["legs"]["npu"]["captured"] == Capture.read(capture).digest
    assert record["verdict"] == "passed"
    assert {entry["legs"] for entry in record["comparisons"]} >= {"torch-onnx", "torch-npu", "onnx-npu"}
    again = complete(published.onnx, capture)
    assert len(again["comparisons"]) == len(record["comparisons"]), "replaced, not added twice"


def test_capture_of_the_file_itself(published, npu, weights, tmp_path):
    made = make_capture(published.onnx, weights=weights)
    assert made.meta["onnx_sha256"] == sha256_file(published.onnx)
    made.write(tmp_path / "c.npz")
    assert complete(published.onnx, tmp_path / "c.npz")["verdict"] == "passed"
    other = Capture({**made.meta, "onnx_sha256": "0" * 64}, made.arrays)
    other.write(tmp_path / "other.npz")
    with pytest.raises(ArtifactError, match="made for another file"):
        complete(published.onnx, tmp_path / "other.npz")


def test_capture_that_differs_fails_and_the_artifact_stays(published, capture, tmp_path):
    made = Capture.read(capture)
    name = "0/npu/strict/cls_0"
    Capture(made.meta, {**made.arrays, name: made.arrays[name] * np.float32(1.01)}).write(tmp_path / "bad.npz")
    before = published.parity.read_bytes()
    arguments = ["parity", str(published.onnx), "--capture", str(tmp_path / "bad.npz")]
    assert run_command(cvexport, arguments) == ParityFailed.exit_code
    assert published.parity.read_bytes() == before


def test_capture_of_other_weights_is_refused(published, npu, small, tmp_path):
    state = {key: torch.from_numpy(value) for key, value in small.checkpoint.state.items()}
    state["head.obj_preds.0.bias"] = state["head.obj_preds.0.bias"] + 1
    torch.save({"model": state}, tmp_path / "other.pth")
    make_capture("yolox", weights=tmp_path / "other.pth", options=OPTIONS).write(tmp_path / "c.npz")
    with pytest.raises(WeightsError, match="other weights"):
        complete(published.onnx, tmp_path / "c.npz")
    with pytest.raises(WeightsError, match="not the weights that the file was made from"):
        make_capture(published.onnx, weights=tmp_path / "other.pth")


def test_capture_of_another_variant_is_refused(published, npu, weights, tmp_path):
    options = VariantOptions(input_size=(160, 160), preprocess="easycv")
    make_capture("yolox", weights=weights, options=options).write(tmp_path / "c.npz")
    with pytest.raises(ArtifactError, match=r"another network .* preprocess differ"):
        complete(published.onnx, tmp_path / "c.npz")


def test_altered_and_damaged_captures_are_refused(published, capture, tmp_path, capsys):
    with np.load(capture) as content:
        arrays = {name: content[name].copy() for name in content.files}
    arrays["1/npu/strict/obj_2"].reshape(-1)[7] += 1e-6
    np.savez_compressed(tmp_path / "altered.npz", **arrays)
    data = capture.read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "flipped.npz").write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    (tmp_path / "text.npz").write_text("hello")
    for name in ("altered", "cut", "flipped", "text", "missing"):
        arguments = ["parity", str(published.onnx), "--capture", str(tmp_path / f"{name}.npz")]
        assert run_command(cvexport, arguments) == 4, name
    assert "was altered" in capsys.readouterr().err


def test_capture_needs_the_device(tmp_path, capsys):
    assert run_command(cvexport, ["capture", "yolox", "--weights", "seeded", "-o", str(tmp_path / "c.npz")]) == 5
    assert "torch_npu is not installed" in capsys.readouterr().err


def test_parity_shows_what_is_recorded(published, capsys):
    assert run_command(cvexport, ["parity", str(published.onnx)]) == 0
    out = capsys.readouterr().out
    assert "npu not run" in out
    assert "obj_2" in out
    assert run_command(cvexport, ["parity", str(published.onnx), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "passed"
    published.parity.resolve().write_text("{}")
    assert run_command(cvexport, ["parity", str(published.onnx)]) == 4, "damage is told"
