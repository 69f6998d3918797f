"""Execution providers: what was asked for is used, or the run does not begin. Other providers are simulated."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from cvport.errors import BackendError, UsageError
from cvport.runtimes.backends.providers import CPU, check_used, placement, resolve_providers
from cvport.runtimes.backends.registry import open_backend
from cvport.runtimes.load import load

OPENVINO = "OpenVINOExecutionProvider"


class Session:
    def __init__(self, providers, **nodes):
        self.providers, self.nodes = providers, nodes

    def get_providers(self):
        return self.providers

    def get_provider_graph_assignment_info(self):
        return [
            SimpleNamespace(ep_name=f"{name}ExecutionProvider", get_nodes=lambda count=count: [None] * count)
            for name, count in self.nodes.items()
        ]


def test_names_and_their_order():
    available = [OPENVINO, "CUDAExecutionProvider", CPU]
    assert resolve_providers(["cpu"], available) == [CPU]
    assert resolve_providers(["openvino", "cuda", "openvino"], available) == [OPENVINO, "CUDAExecutionProvider", CPU]
    with pytest.raises(UsageError, match="there is no provider 'openvin'") as failure:
        resolve_providers(["openvin"], available)
    assert "openvino" in failure.value.hint
    with pytest.raises(BackendError, match="built without CANNExecutionProvider") as failure:
        resolve_providers(["cann"], available)
    assert "onnxruntime-cann" in failure.value.hint


def test_what_is_used_is_told(caplog):
    caplog.set_level(logging.INFO)
    assert check_used([OPENVINO], Session([OPENVINO, CPU], OpenVINO=3, CPU=2)) == {OPENVINO: 3, CPU: 2}
    assert "2 of 5 operators fall back to the CPU" in caplog.text
    assert "placement: 3 on OpenVINO, 2 on CPU" in caplog.text
    caplog.clear()
    check_used([CPU], Session([CPU], CPU=5))
    assert "fall back" not in caplog.text


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (Session([CPU], CPU=5), "runs on CPUExecutionProvider instead of OpenVINO"),
        (Session([OPENVINO, CPU], CPU=5), "no operator of this file runs on OpenVINOExecutionProvider: 5 on CPU"),
    ],
)
def test_what_is_not_used_is_an_error(session, message):
    with pytest.raises(BackendError, match=message) as failure:
        check_used([OPENVINO], session)
    assert failure.value.exit_code == 5


def test_placement_of_a_real_session_and_of_an_older_one(nano_artifact):
    with load(nano_artifact.onnx, backend="onnx", providers=["cpu"]) as predictor:
        settings = predictor.backend.settings
        assert settings["providers"] == [CPU]
        if hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
            assert settings["placement"][CPU] > 100
        assert predictor.backend.device == "cpu"
        assert len(predictor(np.zeros((40, 60, 3), np.uint8))) >= 0
    assert placement(object()) == {}


def test_only_files_have_providers_and_only_instead_of_a_device(nano_artifact):
    with pytest.raises(UsageError, match="--providers is for ONNX Runtime"):
        open_backend("onnx", nano_artifact.onnx, device="cpu", providers=["cpu"])
    with pytest.raises(BackendError, match="built without"):
        open_backend("onnx", nano_artifact.onnx, providers=["openvino"])
