"""The wheel in an environment with the base dependencies alone, used from a folder outside of the checkout."""

from __future__ import annotations

import json
import shutil
import sys

import cv2
import pytest

from cvport.exporters.gate.probes import scene
from cvport.runtimes.commands.cvrun import cvrun
from helpers.distributions import ROOT, Environment

pytestmark = pytest.mark.package

EXTRAS = {"torch", "torch_npu", "transformers", "safetensors", "onnx", "onnxscript", "onnxsim", "matplotlib"}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    packages = ["-c", ROOT / "constraints.txt", wheel]
    return Environment(tmp_path_factory.mktemp("base") / "venv", sys.executable, packages)


@pytest.fixture
def work(nano_artifact, tmp_path):
    """A folder elsewhere, with an exported file and a picture."""
    shutil.copy(nano_artifact.onnx, tmp_path / "yolox.onnx")
    cv2.imwrite(str(tmp_path / "a.png"), scene(60, 200, seed=1))
    return tmp_path


def test_base_dependencies_and_no_others(installed, tmp_path):
    listed = json.loads(installed.run("python", "-m", "pip", "list", "--format=json", cwd=tmp_path).stdout)
    names = {entry["name"].lower() for entry in listed}
    assert {"cvport", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "click", "rich"} <= names
    assert not EXTRAS & names
    assert len(names) < 20
    assert installed.run("python", "-m", "pip", "check", cwd=tmp_path).returncode == 0


def test_cvrun_gives_what_it_gives_here(installed, work, monkeypatch, capsys):
    options = ["-m", "yolox.onnx", "--backend", "onnx", "--conf", "0.15", "--format", "json", "a.png"]
    done = installed.run("cvrun", *options, cwd=work)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["results"]
    monkeypatch.chdir(work)
    cvrun.main(args=options, standalone_mode=False)
    (expected,) = json.loads(capsys.readouterr().out)["results"]
    assert len(found["detections"]) == len(expected["detections"]) > 0
    for got, wanted in zip(found["detections"], expected["detections"], strict=True):
        assert got["label"] == wanted["label"]
        assert got["score"] == pytest.approx(wanted["score"], abs=1e-5)
        assert got["box"] == pytest.approx(wanted["box"], abs=0.01)


def test_cvrun_draws_checks_and_measures(installed, work):
    done = installed.run("cvrun", "-m", "yolox.onnx", "--backend", "onnx", "--save", "out", "a.png", cwd=work)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(work / "out/a_onnx.png")).shape == (60, 200, 3)
    for command in (("check", "yolox.onnx"), ("bench", "-m", "yolox.onnx", "--iters", "2", "a.png")):
        done = installed.run("cvrun", *command, cwd=work)
        assert done.returncode == 0, done.stderr


def test_what_needs_an_extra_says_which(installed, work):
    for command in (("--help",), ("yolox", "--weights", "sample"), ("verify", "yolox.onnx"), ("parity", "yolox.onnx")):
        done = installed.run("cvexport", *command, cwd=work)
        text = " ".join((done.stdout + done.stderr).split())
        assert "pip install 'cvport[export]'" in text, command
        assert "internal error" not in text
        assert done.returncode == (0 if command == ("--help",) else 5)
    done = installed.run("cvrun", "-m", "yolox.onnx", "--backend", "torch", "a.png", cwd=work)
    assert (done.returncode, "pip install 'cvport[torch]'" in done.stderr) == (5, True)


def test_the_package_lies_in_the_environment(installed, tmp_path):
    done = installed.run("python", "-c", "import cvport; print(cvport.__file__, *cvport.list_models())", cwd=tmp_path)
    assert done.stdout.startswith(str(installed.folder))
    assert done.stdout.split()[1:] == ["yolox", "nanodet", "hand_static", "landmarks68", "emotion"]
    assert installed.run("python", "-m", "cvport", cwd=tmp_path).stdout.startswith("cvport ")
