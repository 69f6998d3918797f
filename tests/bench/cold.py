"""``cvrun`` from cold: whole processes beside a bare script that does the least."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from figures import Section, compare, in_turns, timed
from subjects import folder, onnx_file, photo_file

_TARGET = 1.3
_BARE = """
import sys

import cv2
import numpy
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
height, width = session.get_inputs()[0].shape[2:]
picture = cv2.resize(cv2.imread(sys.argv[2]), (width, height))
session.run(None, {"input": numpy.ascontiguousarray(picture.transpose(2, 0, 1)[None], numpy.float32)})
"""


def measure_cold(quick: bool) -> Section:
    """Measure the whole command."""
    model, picture = str(onnx_file("nano")), str(photo_file())
    script = folder() / "bare.py"
    script.write_text(_BARE, encoding="utf-8")
    bare = [sys.executable, str(script), model, picture]
    own = [*_cvrun(), "--backend", "onnx", "-m", model, picture]
    work = {"bare": timed(lambda: _run(bare)), "own": timed(lambda: _run(own))}
    parts = in_turns(work, 7 if quick else 21, warm_up=1)
    bare_ms, own_ms = (parts[name]["total"] for name in ("bare", "own"))
    rows = [compare("cvrun --backend onnx, YOLOX-nano 416", "bare script", bare_ms, own_ms, _TARGET)]
    notes = ["bare script: imports numpy, cv2 and onnxruntime, opens the session, reads the picture, runs once"]
    return Section("cvrun from cold", rows, notes)


def _cvrun() -> list[str]:
    """Return the installed command beside this Python, or the same by hand."""
    path = Path(sys.executable).with_name("cvrun")
    if path.is_file():
        return [str(path)]
    return [sys.executable, "-c", "from cvport.runtimes.cli import main; main()"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
