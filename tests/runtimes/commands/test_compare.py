"""``cvrun compare``: what it prints where, what it returns, and what bad input costs."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import pytest

from cvport import BackendError
from cvport.runtimes.commands.compare import compare_command
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.commands.cvrun import cvrun
from helpers.gate import with_digest

SETTINGS = ("--conf", "0.15", "--max-det", "10")


@pytest.fixture
def run(nano_artifact, tmp_path, monkeypatch, write_picture, capsys):
    """``run(code, *arguments)`` compares two pictures in the folder ``set``, and returns what was printed."""
    monkeypatch.chdir(tmp_path)
    write_picture("set/a.png", 5)
    write_picture("set/b.png", 9)

    def call(code, *arguments, sources=("set",)):
        capsys.readouterr()
        given = ["-m", str(nano_artifact.onnx), "--backend", "onnx", *SETTINGS, *map(str, arguments), *sources]
        assert run_command(compare_command, given) == code
        return capsys.readouterr()

    return call


@pytest.fixture
def spoiled(nano_artifact, tmp_path):
    """The same file with another threshold of non-maximum suppression, and one with other weights."""
    import onnx
    from onnx import numpy_helper

    from cvport.runtimes.seal import KEY

    model = onnx.load(nano_artifact.onnx)
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    content = json.loads(entry.value)
    content["postprocess"]["iou_threshold"] = 0.05
    entry.value = json.dumps(content)
    (tmp_path / "decoded.onnx").write_bytes(with_digest(model))
    model = onnx.load(nano_artifact.onnx)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.cls_preds.0.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.05, tensor.name))
    (tmp_path / "weights.onnx").write_bytes(with_digest(model))
    return tmp_path / "decoded.onnx", tmp_path / "weights.onnx"


def test_backends_agree(run, nano_artifact):
    out, err = run(0, "--against", "torch", "--weights", nano_artifact.weights)
    lines = out.splitlines()
    assert lines[0].startswith("set/a.png  passed  matched ")
    assert lines[-1].startswith("passed: 2 images; nearest to its limit: ")
    assert "limits: parity.json, onnx" in err


def test_settings_of_a_backend(run):
    assert "passed: 2 images" in run(0, "--against", "onnx:unoptimised,threads=1").out


def test_other_files_differ_in_their_stage(run, spoiled):
    decoded, weights = spoiled
    out, err = run(6, "--against", weights, "--save", "out", "-q")
    assert "failed (network)" in out
    assert "network: cls_0: max abs " in out
    assert "2 of 2 images differ, first in the network" in err
    assert cv2.imread("out/a_compared.png").shape == cv2.imread("set/a.png").shape
    assert (cv2.imread("out/a_compared.png") != cv2.imread("set/a.png")).any()
    assert "failed (postprocess)" in run(6, "--against", decoded, "-q").out


def test_json(run, spoiled):
    content = json.loads(run(6, "--against", spoiled[1], "--json", "-q").out)
    assert {"schema_version", "verdict", "stage", "pairs"} <= set(content)
    assert (content["schema_version"], content["verdict"], content["stage"]) == (1, "failed", "network")
    assert {"source", "figures", "verdict", "rows"} <= set(content["pairs"][0])
    assert content["pairs"][0]["rows"][0]["label"].startswith("class_")


def test_tolerances(run):
    assert "is over the limit 0" in run(6, "--against", "onnx:unoptimised", "--tolerance", "*:atol=0").out
    assert "passed" in run(0, "--against", "onnx:unoptimised", "--tolerance", "*:atol=1e-3").out


def test_stored_results(run, nano_artifact, tmp_path, capsys):
    given = ["-m", str(nano_artifact.onnx), "--backend", "onnx", *SETTINGS, "--format", "json", "-q", "set"]
    assert run_command(cvrun, given) == 0
    stored = tmp_path / "stored.json"
    stored.write_text(capsys.readouterr().out)
    out, err = run(0, "--against", stored)
    assert "passed: 2 images" in out
    assert "stored.json was made with model yolox, backend onnx" in err
    assert "opencv " in err
    content = json.loads(stored.read_text())
    content["results"][0]["detections"][0]["score"] -= 0.01
    del content["results"][1]
    stored.write_text(json.dumps(content))
    out, err = run(6, "--against", stored, "--json", "-q")
    found = json.loads(out)
    assert (found["verdict"], found["stage"]) == ("failed", None)
    assert [entry["source"] for entry in found["errors"]] == ["set/b.png"]
    assert "b.png is not among the results" in err


def test_images_that_cannot_be_read(run, tmp_path):
    (tmp_path / "set/c.png").write_text("no image")
    out, err = run(3, "--against", "onnx")
    assert "passed: 2 images" in out
    assert "c.png" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--against", "tensorrt"], 2, "nothing called 'tensorrt'"),
        (["--against", "onnx:fast"], 2, "no setting 'fast'"),
        (["--against", "onnx:threads=0"], 2, "no setting 'threads=0'"),
        (["--against", "onnx:cpu,cuda"], 2, "several devices"),
        (["--against", "torch"], 4, "needs the weights"),
        (["--against", "torch:unoptimised", "--weights", "none.pth"], 4, "none.pth"),
        (["--against", "none.onnx"], 4, "no such file"),
        (["--against", "none.json"], 3, "no such file"),
        (["--against", "onnx", "--tolerance", "x"], 2, "--tolerance"),
    ],
)
def test_bad_input(run, arguments, code, message):
    printed = run(code, *arguments)
    assert message in printed.err
    assert printed.out == ""


def test_nothing_to_compare(run):
    assert "no SOURCE" in run(2, "--against", "onnx", sources=()).err
    assert "--against" in run(2).err


def test_a_device_that_is_not_there(run, no_torch_npu):
    assert run(BackendError.exit_code, "--against", "npu:production", "--weights", "seeded").out == ""


def test_a_simulated_device(run, nano_artifact, npu):
    out, err = run(0, "--against", "npu:0,strict", "--weights", nano_artifact.weights)
    assert "passed: 2 images" in out
    assert "simulated" in err
    assert "limits: default for strict" in err, "the artifact has no record of such a leg"


def test_torch_and_onnx_are_not_imported(nano_artifact, tmp_path, write_picture):
    write_picture("a.png", 5)
    code = (
        "import sys; from cvport.runtimes.commands.cvrun import main; "
        "import atexit; atexit.register(lambda: print(sorted({'torch', 'onnx'} & set(sys.modules)), file=sys.stderr)); "
        "sys.argv = ['cvrun', *sys.argv[1:]]; main()"
    )
    words = ["compare", "-m", str(nano_artifact.onnx), "--backend", "onnx", "--against", "onnx:unoptimised", "a.png"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
