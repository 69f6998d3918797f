"""Captures: a device's legs in a file, compared where the artifact is. The device is simulated."""

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
from cvport.exporters.publish import verify_sums
from cvport.models.weights.digest import sha256_file
from cvport.runtimes.commands.console import run_command

OPTIONS = VariantOptions(input_size=(160, 160))


def write_sums(folder):
    lines = [f"{sha256_file(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(lines))


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
    materials = (published.folder / "sbom.cdx.json").read_bytes()
    assert json.loads(published.parity.read_text())["legs"]["npu"]["status"] == "not run"
    complete(published.onnx, capture)
    verify_sums(published.folder)
    assert (published.folder / "sbom.cdx.json").read_bytes() == materials
    record = json.loads(published.parity.read_text())
    assert sha256_file(published.onnx) == before == record["onnx_sha256"]
    assert record["legs"]["npu"]["captured"] == Capture.read(capture).digest
    assert record["verdict"] == "passed"
    assert {entry["legs"] for entry in record["comparisons"]} >= {"torch-onnx", "torch-npu", "onnx-npu"}
    again = complete(published.onnx, capture)
    assert len(again.comparisons) == len(record["comparisons"]), "replaced, not added twice"


def test_capture_of_the_file_itself(published, npu, weights, tmp_path):
    made = make_capture(published.onnx, weights=weights)
    assert made.meta["onnx_sha256"] == sha256_file(published.onnx)
    made.write(tmp_path / "c.npz")
    assert complete(published.onnx, tmp_path / "c.npz").verdict == "passed"
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


def test_capture_needs_the_device(no_torch_npu, tmp_path, capsys):
    assert run_command(cvexport, ["capture", "yolox", "--weights", "seeded", "-o", str(tmp_path / "c.npz")]) == 5
    assert "torch_npu is not installed" in capsys.readouterr().err


def test_parity_shows_what_is_recorded(published, capsys):
    assert run_command(cvexport, ["parity", str(published.onnx)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("passed: ")
    assert "untrained" not in out
    assert "npu not run" in out
    assert "obj_2 " not in out
    assert run_command(cvexport, ["parity", str(published.onnx), "-v"]) == 0
    assert "obj_2 " in capsys.readouterr().out
    assert run_command(cvexport, ["parity", str(published.onnx), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "passed"
    published.parity.resolve().write_text("{}")
    assert run_command(cvexport, ["parity", str(published.onnx)]) == 4, "damage is told"


@pytest.mark.parametrize("extra", [(), ("--capture", "nosuch.npz")])
def test_a_file_that_does_not_exist_is_told_as_such(extra, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(cvexport, ["parity", "nosuch.onnx", *extra]) == 4
    assert capsys.readouterr().err.startswith("error: no such file: nosuch.onnx")


def test_a_capture_that_does_not_exist_is_told_as_such(published, capsys):
    assert run_command(cvexport, ["parity", str(published.onnx), "--capture", "nosuch.npz"]) == 4
    assert capsys.readouterr().err.startswith("error: no such file: nosuch.npz")


def test_what_failed_against_pytorch_is_not_blamed_on_the_device(published, capsys):
    record = json.loads(published.parity.read_text())
    entry = next(e for e in record["comparisons"] if e["legs"] == "torch-onnx" and e["what"] == "obj_2")
    entry |= {"verdict": "failed", "reasons": ["max abs 1 is over the limit 0.1"]}
    record["verdict"] = "failed"
    folder = published.folder.resolve()
    (folder / "parity.json").write_text(json.dumps(record))
    write_sums(folder)
    assert run_command(cvexport, ["parity", str(published.onnx)]) == ParityFailed.exit_code
    error = capsys.readouterr().err
    assert "NPU" not in error
    assert "torch-onnx" in error
    assert "obj_2" in error
