"""``cvrun`` from cold: whole processes beside a bare script that does the least."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from .figures import Row, Section, compare, in_turns, timed
from .subjects import folder, onnx_file, photo_file

_TARGET = 1.2
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
    commands = {
        "bare": [sys.executable, str(script), model, picture],
        "own": [*_cvrun(), "--backend", "onnx", "-m", model, picture],
    }
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    cached["PYTHONPYCACHEPREFIX"] = str(folder() / "bytecode")
    rows = [
        _row("cvrun --backend onnx, nano 416", commands, cached, quick, _TARGET),
        _row("the same, environment as it is", commands, dict(os.environ), quick),
    ]
    notes = [
        "bare script: imports numpy, cv2 and onnxruntime, opens the session, reads the picture, runs once",
        "first row: bytecode cached, as after any installation's first run; an environment may forbid that "
        f"(PYTHONDONTWRITEBYTECODE is {os.environ.get('PYTHONDONTWRITEBYTECODE', 'not set')} here)",
    ]
    return Section("cvrun from cold", rows, notes)


def _row(
    what: str, commands: dict[str, list[str]], environment: dict[str, str], quick: bool, target: float | None = None
) -> Row:
    work = {name: timed(partial(_run, command, environment)) for name, command in commands.items()}
    parts = in_turns(work, 7 if quick else 21, warm_up=1)
    return compare(what, "bare script", parts["bare"]["total"], parts["own"]["total"], target)


def _cvrun() -> list[str]:
    """Return the installed command beside this Python, or the same by hand."""
    path = Path(sys.executable).with_name("cvrun")
    if path.is_file():
        return [str(path)]
    return [sys.executable, "-c", "from cvport.runtimes.commands.start import cvrun; cvrun()"]


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
