"""What a machine has, told without failing, whatever is missing."""

from __future__ import annotations

import json

import pytest

from cvport.exporters.commands import doctor
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.commands.doctor import examine
from cvport.runtimes.commands.console import run_command


def test_legs_and_versions(no_torch_npu, capsys):
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


CFG = """\
# version: 1.0
runtime_running_version=[7.5.0.1.129:8.0.RC3]
compiler_running_version=[7.5.0.1.129:8.0.RC3]
opp_running_version=[7.5.0.1.129:8.0.RC3]
toolkit_running_version=[7.5.0.1.129:8.0.RC3]
runtime_upgrade_version=[7.5.0.1.129:8.0.RC3]
runtime_installed_version=[7.2.T11.0.B218:8.0.RC2.alpha001][7.5.0.1.129:8.0.RC3]
"""
INFO = """\
package_name=Ascend-cann-toolkit
version=8.3.RC1
innerversion=V100R001C23SPC001B231
compatible_version=[V100R001C15],[V100R001C18],[V100R001C19]
arch=aarch64
os=linux
path=/usr/local/Ascend/ascend-toolkit/8.3.RC1/aarch64-linux
"""
COMPONENT = """\
Version=8.5.0
version_dir=cann-8.5.0
timestamp=20251120_000114272
ascendc_version=1.0
"""


@pytest.mark.parametrize(
    ("file", "content", "version"),
    [
        ("version.cfg", CFG, "8.0.RC3"),
        ("latest/version.cfg", "# version: 1.0\n\nruntime_running_version=[8.5.1:8.5.1]\n", "8.5.1"),
        ("version.cfg", "# version: 1.0\nhccl_running_version=[1.83.T8.0.B128:CANN-1.83]\n", "1.83"),
        ("version.cfg", "# version: 1.0\nruntime_running_version=\nruntime_installed_version=[7.6:8.0.0]\n", "8.0.0"),
        ("version.cfg", "# version: 1.0\r\ntoolkit_running_version = [8.3]\r\n", "8.3"),
        ("aarch64-linux/ascend_toolkit_install.info", INFO, "8.3.RC1"),
        ("version.info", COMPONENT, "8.5.0"),
    ],
)
def test_version_of_cann(tmp_path, monkeypatch, file, content, version):
    monkeypatch.delenv("ASCEND_TOOLKIT_HOME", raising=False)
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content.encode())
    assert examine()["cann"] == f"{version} ({tmp_path / file})"


@pytest.mark.parametrize("content", [None, "", "# version: 1.0\n", "compatible_version=[V100R001C15]\n", "no pair"])
def test_cann_that_states_no_version(tmp_path, monkeypatch, content):
    monkeypatch.delenv("ASCEND_TOOLKIT_HOME", raising=False)
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))
    if content is not None:
        (tmp_path / "version.cfg").write_text(content)
    assert examine()["cann"] == f"of unknown version ({tmp_path})"


def test_version_of_cann_from_the_next_file_where_one_states_none(tmp_path, monkeypatch):
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", str(tmp_path))
    (tmp_path / "version.cfg").write_text("# version: 1.0\n")
    (tmp_path / "x86_64-linux").mkdir()
    (tmp_path / "x86_64-linux/ascend_toolkit_install.info").write_text(INFO)
    found = examine()
    assert found["cann"] == f"8.3.RC1 ({tmp_path}/x86_64-linux/ascend_toolkit_install.info)"
    assert f"CANN       {found['cann']}" in doctor.render(found).splitlines()


def test_no_cann(monkeypatch):
    for name in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert examine()["cann"] is None


def test_broken_onnxruntime_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    found = doctor.examine()
    assert not found["legs"]["onnx"]["ready"]
    assert found["legs"]["onnx"]["providers"].startswith("none: ")
    assert "not here" in doctor.render(found)


def test_builds_of_onnxruntime_that_overwrite_each_other_are_told():
    found = examine()
    assert "overwrite" not in doctor.render(found)
    found["packages"]["onnxruntime-openvino"] = "1.24.1"
    text = doctor.render(found)
    assert "onnxruntime and onnxruntime-openvino overwrite each other" in text
    assert "pip uninstall onnxruntime onnxruntime-openvino" in text
    assert "onnxruntime-cann" not in text
