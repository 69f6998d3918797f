"""Captures and evidence that were altered and sealed again: an error of ours or a verdict, and nothing else."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from cvport.errors import ArtifactError, CvportError, ParityFailed
from cvport.exporters import export as module
from cvport.exporters.export import export
from cvport.exporters.gate.capture import Capture, complete, make_capture
from cvport.exporters.gate.probes import built_in_cases
from cvport.exporters.gate.stored import read_arrays
from cvport.exporters.replay import replay
from cvport.exporters.report.text import render
from cvport.models.spec import VariantOptions
from fuzz import evidence
from helpers.alterations import altered_arrays, altered_json

SEED = 0
OPTIONS = VariantOptions(input_size=(160, 160))


def small_cases(_folders, batch, *, boxes=False):
    """Two of the built-in cases: what is stored is altered, not what networks make of it."""
    return built_in_cases(batch, boxes=boxes)[:2]


def outcomes(alterations, use):
    """What each alteration leads to; the message names what raised anything but an error of ours."""
    seen, wrong = [], []
    for what, value in alterations:
        try:
            use(value)
            seen.append("verdict")
        except CvportError as error:
            seen.append(type(error).__name__)
        except Exception as error:
            wrong.append((what, repr(error)[:200]))
    assert not wrong, f"{len(wrong)} of {len(seen) + len(wrong)}: {wrong[:10]}"
    return seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta["seal"]["labels"].__setitem__(0, 5), "labels is not a tuple of strings"),
        (lambda meta: meta["seal"]["labels"].pop(), "names for"),
        (lambda meta: meta["cases"][0]["boxes"].pop(), "is damaged"),
        (lambda meta: meta["npu"].pop("device"), "is damaged"),
    ],
)
def test_results_that_stored_values_do_not_make(change, message):
    meta = json.loads(json.dumps(evidence.capture_of("emotion").meta))
    evidence.run_capture(json.dumps(meta).encode())
    change(meta)
    with pytest.raises(ArtifactError, match=message) as refusal:
        evidence.run_capture(json.dumps(meta).encode())
    assert refusal.value.exit_code == 4


@pytest.fixture
def published(quick, weights, tmp_path):
    return export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, backends=("torch", "onnx"))


def test_altered_captures(published, npu, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("cvport.exporters.gate.capture.all_cases", small_cases)
    made = make_capture("yolox", weights=weights, options=OPTIONS)
    path = tmp_path / "c.npz"

    def use(capture):
        capture.write(path)
        complete(published.onnx, path)

    use(made)
    rng = np.random.default_rng(SEED)
    metas = ((what, Capture(meta, made.arrays)) for what, meta in altered_json(made.meta, rng, 50))
    seen = outcomes(metas, use)
    arrays = ((what, Capture(made.meta, values)) for what, values in altered_arrays(made.arrays, rng, 20))
    seen += outcomes(arrays, use)
    assert seen.count("ArtifactError") > 30


@pytest.fixture
def rejected(quick, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("cvport.exporters.export.all_cases", small_cases)
    clean = module.verify_file

    def fails(*args, **options):
        verification = clean(*args, **options)
        (first, *rest) = verification.comparisons
        judgement = first.judgement.__class__("failed", ("planted",))
        return module.replace(verification, comparisons=(module.replace(first, judgement=judgement), *rest))

    monkeypatch.setattr(module, "verify_file", fails)
    with pytest.raises(ParityFailed):
        export("yolox", weights=weights, output=tmp_path / "out", options=OPTIONS, backends=("torch", "onnx"))
    (folder,) = (tmp_path / "out/rejected").iterdir()
    return folder


def test_altered_evidence(rejected):
    record = json.loads((rejected / "parity.json").read_text())
    arrays = read_arrays(rejected / "inputs.npz")

    def use_record(content):
        (rejected / "parity.json").write_text(json.dumps(content))
        render(replay(rejected / "yolox.onnx"), verbose=True)

    def use_arrays(values):
        np.savez_compressed(rejected / "inputs.npz", **values)
        render(replay(rejected / "yolox.onnx"), verbose=True)

    used = {name: record[name] for name in ("seal", "cases", "noise_floor", "limits", "algebra", "decided_by")}
    rng = np.random.default_rng(SEED)
    parts = ((what, {**record, **changed}) for what, changed in altered_json(used, rng, 80))
    kept = [entry for entry in record["comparisons"] if entry["tier"] == "structure"][:1]
    entries = ((what, {**record, "comparisons": changed}) for what, changed in altered_json(kept, rng, 20))
    seen = outcomes(parts, use_record) + outcomes(entries, use_record)
    use_record(record)
    seen += outcomes(altered_arrays(arrays, rng, 30), use_arrays)
    assert seen.count("ArtifactError") > 50


def test_evidence_that_is_missing_or_no_archive(rejected):
    for content in (b"", b"hello", (rejected / "inputs.npz").read_bytes()[:2000]):
        (rejected / "inputs.npz").write_bytes(content)
        with pytest.raises(ArtifactError, match="is damaged"):
            replay(rejected / "yolox.onnx")
    (rejected / "inputs.npz").unlink()
    with pytest.raises(ArtifactError, match="no such file"):
        replay(rejected / "yolox.onnx")


def npy(shape, data, dtype="<f4"):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue() + data


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"a.npy": npy((10**7, 10**7), bytes(16))}, "claims the shape"),
        ({"a.npy": npy((-2, -2), bytes(16))}, "no array of numbers"),
        ({"a.npy": npy((2,), bytes(16), "|O")}, "no array of numbers"),
        ({"a.npy": npy((2,), bytes(16), "<U2")}, "no array of numbers"),
        ({"a.txt": b"hello"}, "unexpected member"),
        ({"a.npy": b"hello"}, "EOF"),
    ],
)
def test_arrays_that_claim_what_they_are_not(tmp_path, members, expected):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises((ValueError, EOFError), match=expected):
        read_arrays(tmp_path / "a.npz")


def test_arrays_as_numpy_reads_them(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b/c": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "d": np.array(0.5),
        "e": np.zeros((0, 3), np.uint8),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert np.array_equal(found[name], value)
