"""``cvrun check``: what passes, what is seen, and what is told where there is nothing to check against."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cvport.models.weights.digest import sha256_file
from cvport.runtimes.commands.check import check
from cvport.runtimes.seal import read_seal
from helpers.gate import with_digest

OUTPUTS = [f"{name}_{level}" for level in range(3) for name in ("cls", "reg", "obj")]


@pytest.fixture
def scaled(nano_artifact, tmp_path):
    """``scaled(name, factor)`` is the small network with a tensor multiplied, sealed with a digest that fits."""

    def make(name="head.obj_preds.0.weight", factor=1.05):
        model = onnx.load(nano_artifact.onnx)
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        value = numpy_helper.to_array(tensor) * np.float32(factor)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        path = tmp_path / "scaled.onnx"
        path.write_bytes(with_digest(model))
        return path

    return make


def sealed(artifact):
    return json.loads(read_seal(artifact.onnx).to_json())


# --- what passes


def test_json_of_a_file_with_its_record(invoke, nano_artifact):
    done = invoke(check, nano_artifact.onnx, "--json")
    assert (done.code, done.err) == (0, "")
    content = json.loads(done.out)
    outputs, took = content.pop("outputs"), content.pop("time_ms")
    assert content == {
        "schema_version": 1,
        "verdict": "passed",
        "file": str(nano_artifact.onnx),
        "sha256": sha256_file(nano_artifact.onnx),
        "provider": ["CPUExecutionProvider"],
        "versions": content["versions"],
        "limits": "parity.json",
    }
    assert {"cvport", "onnxruntime", "numpy", "opencv"} <= set(content["versions"])
    assert content["versions"]["numpy"] == np.__version__
    assert took > 0
    assert [row["name"] for row in outputs] == OUTPUTS
    recorded = json.loads(nano_artifact.onnx.with_name("parity.json").read_text())["limits"]["tensors"]
    samples = read_seal(nano_artifact.onnx).probe["outputs"]
    for row in outputs:
        assert row["limit"] == pytest.approx(recorded[row["name"]]["max_abs"], rel=1e-5)
        assert row["largest"] == pytest.approx(max(map(abs, samples[row["name"]]["values"])), rel=1e-5)
        assert row["share"] == pytest.approx(row["max_abs"] / row["limit"], rel=1e-4)
        assert row["share"] < 0.5, row


def test_table_leads_with_the_verdict(invoke, nano_artifact):
    lines = invoke(check, nano_artifact.onnx).out.splitlines()
    assert lines[0] == f"passed: {nano_artifact.onnx}"
    assert lines[1].startswith("nearest to its limit: ")
    assert lines[2].startswith("CPUExecutionProvider; cvport ")
    assert ", onnxruntime " in lines[2]
    assert [line.split()[0] for line in lines[4:-1]] == ["output", *OUTPUTS]
    assert lines[-1] == "limits of parity.json"


def test_a_file_alone_has_the_default_limits(invoke, nano_artifact, tmp_path):
    alone = Path(shutil.copy(nano_artifact.onnx, tmp_path / "alone.onnx"))
    done = invoke(check, alone, "--json")
    content = json.loads(done.out)
    assert (done.code, done.err, content["verdict"], content["limits"]) == (0, "", "passed", "defaults")
    for row in content["outputs"]:
        assert row["limit"] == pytest.approx(1e-3 * row["largest"], rel=1e-5)
        assert row["share"] < 0.05
    assert invoke(check, alone).out.endswith("default limits: there is no parity.json of this file\n")


def test_a_record_of_another_file_gives_no_limits(invoke, nano_artifact, tmp_path):
    alone = Path(shutil.copy(nano_artifact.onnx, tmp_path / "alone.onnx"))
    (tmp_path / "parity.json").write_text(
        json.dumps({"schema_version": 2, "onnx_sha256": "0" * 64, "limits": {"tensors": {}}})
    )
    done = invoke(check, alone, "--json")
    assert "is about another file than alone.onnx" in done.err
    assert (done.code, json.loads(done.out)["limits"]) == (0, "defaults")


def test_a_record_that_lacks_an_output_gives_no_limits(invoke, nano_artifact, tmp_path):
    alone = Path(shutil.copy(nano_artifact.onnx, tmp_path / "alone.onnx"))
    limits = {"cls_0": {"max_abs": 1e-3}}
    record = {"schema_version": 2, "onnx_sha256": sha256_file(alone), "limits": {"tensors": limits}}
    (tmp_path / "parity.json").write_text(json.dumps(record))
    assert json.loads(invoke(check, alone, "--json").out)["limits"] == "defaults"


def test_a_file_of_a_fixed_batch(invoke, nano_batch_2):
    assert invoke(check, nano_batch_2.onnx, "--threads", "1").code == 0


def test_an_artifact_by_its_folder_and_by_its_name(invoke, nano_artifact, monkeypatch):
    monkeypatch.chdir(nano_artifact.onnx.parent.parent.parent)
    for name in (nano_artifact.onnx.parent, "yolox"):
        assert invoke(check, name).out.startswith("passed: "), name


# --- what is seen


def test_a_scaled_tensor_fails_by_the_default_limits(invoke, scaled):
    path = scaled()
    done = invoke(check, path, "--json")
    content = json.loads(done.out)
    assert (done.code, content["verdict"], content["limits"]) == (6, "failed", "defaults")
    wrong = [row["name"] for row in content["outputs"] if row["share"] > 1]
    assert wrong == ["obj_0"]
    assert f"error: {path} does not compute on CPUExecutionProvider what its network computes: obj_0" in done.err
    assert f"cvexport parity {path} --weights W" in done.err
    table = invoke(check, path)
    assert table.code == 6
    assert table.out.startswith(f"failed: {path}\nnearest to its limit: obj_0 max abs ")


def test_a_tensor_far_inside_is_seen_in_several_outputs(invoke, scaled):
    done = invoke(check, scaled("backbone.backbone.stem.conv.conv.weight"), "--json")
    assert done.code == 6
    assert sum(row["share"] > 1 for row in json.loads(done.out)["outputs"]) >= 3


def test_the_tighter_limit_of_the_record_decides(invoke, nano_artifact, scaled, tmp_path):
    path = scaled("backbone.backbone.stem.conv.conv.weight", 1.0006)
    assert invoke(check, path).code == 0, "below a thousandth"
    record = json.loads(nano_artifact.onnx.with_name("parity.json").read_text())
    (tmp_path / "parity.json").write_text(json.dumps(record | {"onnx_sha256": sha256_file(path)}))
    assert invoke(check, path).code == 6


@pytest.mark.parametrize(
    "change", [{"mean": [3.0, 0.0, 0.0]}, {"std": [1.0, 1.05, 1.0]}, {"colour": "rgb"}, {"convention": "easycv"}]
)
def test_a_wrong_constant_of_the_preprocessing_fails(invoke, nano_artifact, with_seal, change):
    path = with_seal(preprocess=sealed(nano_artifact)["preprocess"] | change)
    expected = 0 if "convention" in change else 6  # that is a name for people
    assert invoke(check, path).code == expected


def test_values_that_are_not_finite_fail(invoke, nan_artifact):
    done = invoke(check, nan_artifact, "--json")
    assert done.code == 6
    content = json.loads(done.out, parse_constant=pytest.fail)
    assert content["verdict"] == "failed"
    assert any(row["max_abs"] is None and row["share"] is None for row in content["outputs"])
    assert "has values that are not finite" in done.err
    assert "has values that are not finite" in invoke(check, nan_artifact).out


# --- what cannot be checked


def test_a_file_of_another_tool(invoke, with_seal):
    done = invoke(check, with_seal())
    assert (done.code, done.out) == (4, "")
    assert "was not made by cvexport" in done.err


def test_a_file_without_a_probe(invoke, nano_artifact, with_seal):
    content = sealed(nano_artifact)
    del content["probe"]
    for version, gone in ((2, ()), (1, ("digest",))):
        text = json.dumps(
            {name: value for name, value in content.items() if name not in gone} | {"schema_version": version}
        )
        done = invoke(check, with_seal(text))
        assert (done.code, done.out) == (4, "")
        assert "resealed.onnx holds no expected values: it was exported before files had them" in done.err
        assert "Export it again: cvexport yolox" in done.err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda probe: probe | {"version": 9}, "a probe of version 9"),
        (lambda probe: probe | {"seed": "1"}, "its seed is '1'"),
        (lambda probe: {"seed": 1, "values": [0.5]}, "a probe of version None"),
        (lambda probe: probe | {"outputs": {"logits": probe["outputs"]["cls_0"]}}, "about the outputs logits"),
        (lambda probe: with_samples(probe, indices=[0, 99_999], values=[0.5, 0.5]), "index 99999 of cls_0"),
        (lambda probe: with_samples(probe, indices=[0, 10**15], values=[0.5, 0.5]), "does not fit the file"),
        (lambda probe: with_samples(probe, indices=list(range(250)), values=[0.5] * 250), "256 are allowed"),
        (lambda probe: with_samples(probe, indices=[0], values=["x"]), "the values of cls_0"),
    ],
)
def test_a_damaged_probe(invoke, nano_artifact, with_seal, damage, message):
    path = with_seal(probe=damage(sealed(nano_artifact)["probe"]))
    done = invoke(check, path)
    assert (done.code, done.out) == (4, "")
    assert message in done.err
    assert str(path) in done.err


def with_samples(probe, **samples):
    return probe | {"outputs": probe["outputs"] | {"cls_0": samples}}


def test_an_altered_file(invoke, nano_artifact, tmp_path):
    data = bytearray(nano_artifact.onnx.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "altered.onnx"
    path.write_bytes(data)
    done = invoke(check, path)
    assert (done.code, done.out) == (4, "")


@pytest.fixture
def in_empty_folder(invoke, nano_artifact, tmp_path, monkeypatch):
    """``in_empty_folder("FILE", "--json")`` runs the command where nothing is exported; FILE is a good file."""
    monkeypatch.chdir(tmp_path)
    return lambda *given: invoke(check, *(nano_artifact.onnx if word == "FILE" else word for word in given))


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ([], 2, "Missing argument 'FILE.onnx'"),
        (["gone.onnx"], 4, "no such file: gone.onnx"),
        (["yolo"], 2, "Did you mean 'yolox'?"),
        (["emotion"], 4, "emotion has not been exported here"),
        (["FILE", "--threads", "0"], 2, "--threads"),
        (["FILE", "--providers", "gpu"], 2, "there is no provider 'gpu'"),
        (["FILE", "--providers", "cann"], 5, "this onnxruntime was built without CANNExecutionProvider"),
    ],
)
def test_wrong_requests(in_empty_folder, given, code, message):
    done = in_empty_folder(*given)
    assert (done.code, done.out) == (code, "")
    assert message in done.err


# --- the command


def test_what_was_assumed_is_told(invoke, nano_artifact, with_seal):
    path = with_seal(weights=sealed(nano_artifact)["weights"] | {"assumed": ["preprocess megvii (Megvii wrapping)"]})
    assert invoke(check, path).err == "assumed: preprocess megvii (Megvii wrapping)\n"
    assert invoke(check, path, "-q").err == ""


def test_neither_torch_nor_onnx_is_imported(nano_artifact):
    code = (
        "import sys; from cvport.runtimes.commands import cvrun; sys.argv[0] = 'cvrun'\n"
        "try: cvrun.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, "check", str(nano_artifact.onnx)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    *lines, modules = done.stdout.splitlines()
    assert lines[0] == f"passed: {nano_artifact.onnx}"
    loaded = {name.partition(".")[0] for name in modules.split()}
    assert not {"torch", "onnx", "rich", "matplotlib", "jinja2"} & loaded
    assert not any(name.startswith("cvport.exporters") for name in modules.split())


def test_help(invoke):
    done = invoke(check, "--help")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "  cvrun check artifacts/yolox/yolox.onnx" in done.out
    for title in ("Options:", "Backend and speed:", "Messages:", "Help:"):
        assert title in lines
