"""The commands on simulated devices, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvport.models.yolox.spec import SPEC
from helpers.yolox import megvii_variant
from npu_sim import install

SCRIPT = Path(install.__file__).with_name("run.py")

pytestmark = pytest.mark.skipif(install.why_not() is not None, reason=str(install.why_not()))


def run(*arguments, folder):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_cvrun_takes_the_npu(tmp_path):
    state = {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, megvii_variant("nano", 3)).items()}
    torch.save({"model": state}, tmp_path / "nano.pth")
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    options = ("--weights", "nano.pth", "--input-size", "160", "--conf", "0.05", "--format", "json", "a.png")
    done = run("--devices", 2, "cvrun", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: the Ascend NPU is simulated\nbackend: npu on npu:0; assumed: ")
    result = json.loads(done.stdout)
    assert (result["backend"], result["device"]) == ("npu", "npu:0")
    assert len(result["results"][0]["detections"]) > 0


def test_device_that_is_not_there(tmp_path):
    done = run("--devices", 2, "cvrun", "--backend", "npu", "--device", "npu:2", "a.png", folder=tmp_path)
    assert done.returncode == 5
    assert "there is no npu:2: 2 devices, npu:0 to npu:1" in done.stderr
