"""A new backend is a module and a row; a leg of the gate is one more row: ONNX's own reference evaluator as both."""

from __future__ import annotations

import json

import pytest

import cvport
from cvport.exporters.gate import legs
from cvport.exporters.gate.kinds.registry import GATE_KINDS
from cvport.exporters.gate.legs import LEGS, Leg, run_file
from cvport.exporters.gate.probes import scene
from cvport.exporters.report.record import Record
from cvport.exporters.report.text import render
from cvport.models.registry import MODELS
from cvport.runtimes.backends.registry import BACKENDS, BackendEntry
from cvport.runtimes.kinds.registry import KINDS


@pytest.fixture
def artifact(monkeypatch, tmp_path):
    """A small network, exported with the evaluator as a leg that has to run."""
    monkeypatch.setitem(MODELS, "pose", "helpers.keypoints.model:SPEC")
    monkeypatch.setitem(KINDS, "keypoints", "helpers.keypoints.kind:KIND")
    monkeypatch.setitem(GATE_KINDS, "keypoints", "helpers.keypoints.gate:GATE")
    monkeypatch.setitem(BACKENDS, "reference", BackendEntry("helpers.reference_backend", "onnx", "ONNX", ("cpu",)))
    row = Leg("reference", "reference", run_file, against=("torch", "onnx"))
    monkeypatch.setattr(legs, "LEGS", (*LEGS, row))
    return cvport.export("pose", weights="seeded", output=tmp_path, require=["reference"])


def test_the_leg_runs_and_is_compared_recorded_and_shown(artifact):
    record = Record.from_dict(json.loads(artifact.parity.read_text()))
    leg = record.legs["reference"]
    assert (leg.status, leg.verdict, leg.against) == ("ran", "passed", ("torch", "onnx"))
    pairs = {entry.legs for entry in record.comparisons}
    assert {"torch-reference", "onnx-reference"} <= pairs
    assert "reference ran" in render(record)
    assert "torch-reference" in render(record, verbose=True)


def test_the_backend_gives_the_results_of_onnx_runtime(artifact):
    image = scene(90, 120, seed=2)
    results = [cvport.load(artifact.onnx, backend=backend)(image) for backend in ("onnx", "reference")]
    assert results[0].points == pytest.approx(results[1].points, abs=1e-3)
