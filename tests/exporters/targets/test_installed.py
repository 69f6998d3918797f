"""OpenCV and OpenVINO as they are installed here."""

from __future__ import annotations

import importlib.util
import sys

import cv2
import numpy as np
import pytest

from cvport.errors import BackendError
from cvport.exporters.targets import opencv, openvino
from cvport.exporters.targets.check import check_file
from helpers.small_files import SHAPE, node

TARGETS = [
    "opencv",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed"),
    ),
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_of_a_fixed_batch_is_read_rightly(nano_batch_2, target):
    report = check_file(nano_batch_2.onnx, target)
    assert report.counts == {"ok": len(report.outcome.nodes)}
    assert len(report.outcome.nodes) > 300
    assert "ran (2, 3, 160, 160);" in report.outcome.notes[0]


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_of_an_open_batch(nano_artifact, target):
    report = check_file(nano_artifact.onnx, target)
    if target == "opencv" and cv2.__version__.startswith("4."):
        assert {entry.op_type for entry in report.outcome.nodes if entry.verdict == "not registered"} == {"Resize"}
    else:
        assert report.counts == {"ok": len(report.outcome.nodes)}
        assert "ran (1, 3, 160, 160), (2, 3, 160, 160);" in report.outcome.notes[0]


def test_what_opencv_does_not_have_is_named(read):
    nodes = [node("Relu", outputs=("a",), name="first"), node("GlobalLpPool", "a", name="second")]
    outcome = opencv.check(read(nodes, outputs={"y": (1, 4, 1, 1)}), "")
    assert [entry.verdict for entry in outcome.nodes] == ["unknown", "not registered"]
    assert "GlobalLpPool" in outcome.nodes[1].reason


def test_opencv_is_as_loud_as_before(read):
    logging = cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging
    before = logging.getLogLevel()
    opencv.check(read(node("GlobalLpPool"), outputs={"y": (1, 4, 1, 1)}), "")
    assert logging.getLogLevel() == before


def test_what_openvino_does_not_have_is_named(read):
    pytest.importorskip("openvino")
    nodes = [node("Relu", outputs=("a",), name="first"), node("Det", "a", name="second")]
    outcome = openvino.check(read(nodes, outputs={"y": SHAPE[:2]}), "")
    assert [entry.verdict for entry in outcome.nodes] == ["unknown", "not registered"]


def test_messages_of_openvino_name_operators(read):
    nodes = [node("Relu", outputs=("a",), name="first"), node("Foo", "a", name="second", domain="my.dom")]
    graph = read([*nodes, node("Det", "y", outputs=("z",), name="third")])
    listed = openvino._nodes("Summary:\n-- No conversion rule found for operations: my.dom.Foo, Det-18\n", graph)
    assert listed == {"second", "third"}
    message = "While validating ONNX node '<Node(Det): z>':\nno\nSummary:\n-- Conversion is failed for: Det-18, Relu-14"
    assert openvino._nodes(message, graph) == {"third"}


def test_coordinates_that_are_read_wrongly_or_not_at_all(read):
    """OpenCV 5.0 takes other pixels, OpenVINO 2026.4 refuses: neither may be called ok while it differs."""
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel_symmetric", "nearest_mode": "floor"}
    graph = read(
        [node("Relu", outputs=("a",), name="first"), node("Resize", "a", "", "s", name="second", **attributes)],
        constants={"s": np.float32([1, 1, 2, 2])},
        opset=19,
        outputs={"y": (1, 4, 16, 16)},
    )
    outcome = opencv.check(graph, "")
    if cv2.__version__.startswith("5.0."):
        assert [entry.verdict for entry in outcome.nodes] == ["unknown", "misread"]
        assert outcome.findings[0].reason.startswith("y is off by")
    if importlib.util.find_spec("openvino") is not None:
        assert openvino.check(graph, "").nodes[1].verdict in {"ok", "not registered"}


@pytest.mark.parametrize(("module", "package"), [(opencv, "cv2"), (openvino, "openvino")])
def test_packages_that_are_not_installed(read, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match="cannot be") as raised:
        module.check(read(node("Relu")), "")
    assert raised.value.hint.startswith("Install it: pip install ")
