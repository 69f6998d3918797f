"""What two legs may differ by where nothing is recorded, and where something is."""

from __future__ import annotations

import json
import shutil

import pytest

from cvport.runtimes.kinds.registry import KINDS, get_kind
from cvport.runtimes.parity.defaults import default_limits, recorded_limits

NAMES = ["cls_0", "reg_0", "obj_0", "cls_1", "reg_1", "obj_1", "cls_2", "reg_2", "obj_2"]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_usual_limits(name):
    kind = get_kind(name)
    limits = default_limits(kind, ["a"], ["fp32", "fp32"])
    assert isinstance(limits.decoded, kind.limit)
    assert limits.decoded.derived == "default for fp32"
    assert limits.tensors["a"].allowed(50.0) == pytest.approx(0.05)


def test_coarser_precision_decides():
    kind = get_kind("detections")
    exact, coarse = (default_limits(kind, ["a"], [name, "fp32"]) for name in ("strict", "fp16"))
    assert exact.decoded.score == kind.usual.score
    assert coarse.decoded.score == pytest.approx(20 * kind.usual.score)
    assert coarse.decoded.iou == pytest.approx(1 - 20 * (1 - kind.usual.iou))
    assert coarse.tensors["a"].allowed(1.0) == pytest.approx(2e-2)


def test_record_beside_the_file(nano_artifact, tmp_path):
    kind = get_kind("detections")
    limits = recorded_limits(nano_artifact.onnx, kind, NAMES, "onnx")
    content = json.loads(nano_artifact.onnx.with_name("parity.json").read_text())["limits"]
    assert limits.tensors["cls_0"].max_abs == content["tensors"]["cls_0"]["max_abs"]
    assert limits.decoded.px == content["decoded"]["px"]
    assert limits.decoded.derived == "parity.json, onnx"
    assert recorded_limits(nano_artifact.onnx, kind, NAMES, "npu") is None, "that leg did not run"
    assert recorded_limits(nano_artifact.onnx, kind, ["other"], "onnx") is None
    shutil.copy(nano_artifact.onnx, tmp_path / "yolox.onnx")
    assert recorded_limits(tmp_path / "yolox.onnx", kind, NAMES, "onnx") is None, "there is none"
    shutil.copy(nano_artifact.onnx.with_name("parity.json"), tmp_path)
    assert recorded_limits(tmp_path / "yolox.onnx", kind, NAMES, "onnx") == limits
    (tmp_path / "yolox.onnx").write_bytes(nano_artifact.onnx.read_bytes() + b"\x00" * 0 + b"\x08\x0a")
    assert recorded_limits(tmp_path / "yolox.onnx", kind, NAMES, "onnx") is None, "it is of another file"
    (tmp_path / "parity.json").write_text("[]")
    assert recorded_limits(tmp_path / "yolox.onnx", kind, NAMES, "onnx") is None
