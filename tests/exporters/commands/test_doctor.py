"""What a machine has, told without failing, whatever is missing."""

from __future__ import annotations

import json

import pytest
from cvport.exporters.commands import doctor
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.commands.doctor import examine
from cvport.runtimes.commands.console import run_command


def test_legs_and_versions(capsys):
    assert run_command(cvexport, ["doctor"]) == 0
    text = capsys.readouterr().out
    assert "torch_npu                missing; pip install 'cvport[npu]'" in text
    assert "npu    not here: torch_npu is not installed" in text
    assert "CPUExecutionProvider" in text
    assert run_command(cvexport, ["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["legs"]["torch"]["ready"]
    assert found["legs"]["npu"]["next"] == "Install it: pip install 'cvport[npu]'"


def test_devices_are_listed_and_called_simulated(npu, capsys):
    assert run_command(cvexport, ["doctor"]) == 0
    text = capsys.readouterr().out
    assert "npu:0 Ascend910B3" in text
    assert "+simulated" in text


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("version.cfg", "# version: 1.0\nruntime_running_version=[8.5.1:8.5.1]"),
        ("aarch64-linux/ascend_toolkit_install.info", "package_name=Ascend-cann-toolkit\nversion=8.5.1"),
    ],
)
def test_version_of_cann(tmp_path, monkeypatch, file, line):
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))
    assert examine()["cann"] == f"of unknown version ({tmp_path})"
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line)
    found = examine()["cann"]
    assert str(tmp_path / file) in found
    assert "version" in found


def test_broken_onnxruntime_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    found = doctor.examine()
    assert not found["legs"]["onnx"]["ready"]
    assert found["legs"]["onnx"]["providers"].startswith("none: ")
    assert "not here" in doctor.render(found)
