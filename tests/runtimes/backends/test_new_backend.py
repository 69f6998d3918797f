"""A new backend is one module and one row: everything that runs files takes it from there."""

import json

import numpy as np
import pytest

from cvport.errors import BackendError, UsageError
from cvport.runtimes.backends import registry
from cvport.runtimes.backends.registry import BACKENDS, BackendEntry, open_backend
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.load import load
from helpers.detections import assert_same_in_any_order

ROW = BackendEntry("helpers.reference_backend", "onnx", "ONNX's reference evaluator", ("cpu",))
CONF = 0.15


@pytest.fixture(autouse=True)
def row(monkeypatch):
    monkeypatch.setitem(BACKENDS, "reference", ROW)


def test_results_are_those_of_onnx_runtime(nano_artifact, pictures):
    found = {}
    for backend in ("onnx", "reference"):
        with load(nano_artifact.onnx, backend=backend, score_threshold=CONF) as predictor:
            assert predictor.backend.name == backend
            found[backend] = predictor.predict_batch(pictures[:2])
    for result, expected in zip(found["reference"], found["onnx"], strict=True):
        assert len(expected) > 3, "something to compare"
        assert_same_in_any_order(result, expected)


def test_command(nano_artifact, invoke, write_picture):
    options = ("-m", nano_artifact.onnx, "--backend", "reference", "--format", "json", "--conf", CONF)
    done = invoke(cvrun, *options, write_picture())
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert (content["backend"], content["device"]) == ("reference", "cpu")
    assert content["results"][0]["detections"]


def test_what_it_cannot_do_is_told():
    with pytest.raises(BackendError, match="backend reference is not available: it has no device 'cuda'"):
        load("yolox", backend="reference", device="cuda")
    with pytest.raises(UsageError, match="backend reference has no precision 'fp16'"):
        load("yolox", backend="reference", precision="fp16")


def test_auto_takes_it_where_the_order_says_so(nano_artifact, monkeypatch):
    monkeypatch.setattr(registry, "AUTO_ORDER", ("reference", "onnx"))
    with load(nano_artifact.onnx) as predictor:
        assert predictor.backend.name == "reference"


def test_opened_alone(nano_artifact):
    with open_backend("reference", nano_artifact.onnx) as backend:
        assert backend.inputs == ("input",)
        outputs = backend.run({"input": np.zeros((1, 3, 160, 160), np.float32)})
    assert tuple(outputs) == backend.outputs
