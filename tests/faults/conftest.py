"""A way to run commands in this process, with parts of them replaced, and pictures to run them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cvport.exporters.gate.probes import scene
from cvport.runtimes.commands.console import run_command
from faults.programs import Ended


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``invoke(command, "--option", path)`` runs a command in this process; it may not show a traceback."""

    def invoke(command: Any, *words: object) -> Ended:
        capsys.readouterr()
        code = run_command(command, [str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ended(code, out, err)

    return invoke


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with twelve pictures in ``set``."""
    (tmp_path / "set").mkdir()
    for number in range(12):
        Image.fromarray(scene(60, 80, seed=number)).save(tmp_path / f"set/{number:02d}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path
