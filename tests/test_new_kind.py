"""A new kind of result is its class, two modules and a line in each of their tables: from network to picture."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from cvport import export, read_image
from cvport.exporters.gate.kinds.registry import GATE_KINDS
from cvport.exporters.gate.probes import scene
from cvport.models.registry import MODELS
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.kinds.registry import KINDS
from helpers.keypoints.result import NAMES


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The model of the new kind, exported through the gate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "pose", "helpers.keypoints.model:SPEC")
        patch.setitem(KINDS, "keypoints", "helpers.keypoints.kind:KIND")
        patch.setitem(GATE_KINDS, "keypoints", "helpers.keypoints.gate:GATE")
        yield export("pose", weights="seeded", output=tmp_path_factory.mktemp("pose"))


@pytest.fixture
def run(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", scene(120, 160, seed=5))

    def call(*arguments):
        capsys.readouterr()
        assert run_command(cvrun, ["-m", str(exported.onnx), "--backend", "onnx", *arguments, "a.png"]) == 0
        return capsys.readouterr().out

    return call


def test_the_gate_compares_it(exported):
    record = exported.record
    assert record["verdict"] == "passed"
    decoded = [entry["figures"] for entry in record["comparisons"] if entry["tier"] == "decoded"]
    assert decoded
    assert all(0 <= figures["max_px"] <= record["limits"]["decoded"]["px"] for figures in decoded)


def test_table_json_and_csv(run):
    assert "1 person" in run()
    assert "left_wrist" in run()
    (result,) = json.loads(run("--format", "json"))["results"]
    assert [row["name"] for row in result["keypoints"]] == list(NAMES)
    assert all(0 <= row["point"][0] <= 160 and 0 <= row["point"][1] <= 120 for row in result["keypoints"])
    heading, *rows = run("--format", "csv").splitlines()
    assert heading == "source,name,x,y,score"
    assert len(rows) == 17


def test_coco(run):
    content = json.loads(run("--format", "coco"))
    (annotation,) = content["annotations"]
    assert annotation["num_keypoints"] == 17
    assert len(annotation["keypoints"]) == 51
    (category,) = content["categories"]
    assert category["keypoints"] == list(NAMES)
    assert [6, 7] in category["skeleton"]


def test_picture(run):
    run("--save", "out")
    before, after = read_image("a.png"), read_image("out/a_onnx.png")
    (result,) = json.loads(run("--format", "json"))["results"]
    x, y = (round(value) for value in result["keypoints"][0]["point"])
    assert after[min(y, 119), min(x, 159)].tolist() == [0, 0, 255]
    assert np.any(before != after, axis=2).sum() > 17
