"""The commands with the real torch_npu installed: on a machine with NPUs, and on one that is broken."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import pytest

from cvport.exporters.gate.probes import scene

pytestmark = pytest.mark.npu_wheel

CVRUN, CVEXPORT = (
    ("-c", f"import sys; from cvport.{module} import main; sys.argv[0] = 'cv'; main()")
    for module in ("runtimes.commands.cvrun", "exporters.commands.cvexport")
)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    cv2.imwrite(str(path), scene(90, 120, seed=0))
    return path


# --- NPUs answer


def test_doctor(python, cann):
    done = python(*CVEXPORT, "doctor", "--json", cann=cann, devices=2)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["legs"]["npu"]["ready"] is True
    assert found["legs"]["npu"]["devices"] == ["npu:0 Ascend910B3", "npu:1 Ascend910B3"]
    assert found["packages"]["torch_npu"] == found["packages"]["torch"].partition("+")[0]


def test_stdout_is_the_result_alone(python, cann, picture):
    """torch_npu prints a warning to stdout when it is imported without ASCEND_HOME_PATH; `auto` finds it."""
    options = ["-m", "nanodet", "--weights", "seeded", "--format", "json", "--max-det", "3"]
    done = python(*CVRUN, *options, picture, cann=cann)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["backend"], found["device"], len(found["results"])) == ("npu", "npu:0", 1)
    assert "backend: npu on npu:0" in done.stderr
    assert "ASCEND_HOME_PATH environment variable is not set" in done.stderr


def test_device_that_is_not_there(python, cann, picture):
    done = python(*CVRUN, "--backend", "npu", "--device", "npu:1", "--weights", "seeded", picture, cann=cann)
    assert (done.returncode, done.stdout) == (5, "")
    assert "there is no npu:1: 1 device, npu:0" in done.stderr


# --- torch_npu is installed, CANN is not


@pytest.fixture(scope="module")
def broken(python):
    """``broken(command, ...)`` runs without CANN and returns what is printed."""
    assert python("-c", "import torch").returncode == 1, "this machine is broken"

    def run(*arguments):
        done = python(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def exported(broken, tmp_path_factory):
    """A small network, exported on that machine."""
    import torch

    from cvport.models.yolox.spec import SPEC
    from helpers.yolox import megvii_variant

    folder = tmp_path_factory.mktemp("exported")
    weights = folder / "nano.pth"
    state = SPEC.seeded(0, megvii_variant("nano", 3))
    torch.save({"model": {key: torch.from_numpy(value) for key, value in state.items()}}, weights)
    options = ["--weights", weights, "--input-size", "160", "-o", folder, "--json"]
    return json.loads(broken(*CVEXPORT, "yolox", *options)), folder / "yolox/yolox.onnx", weights


def test_export_works_and_tells_why_the_leg_did_not_run(exported):
    printed, onnx, _ = exported
    assert onnx.is_file()
    assert "does not find CANN: libhccl.so" in json.dumps(printed)


LIGHT = """
import sys
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.commands.console import run_command
code = run_command(cvrun, sys.argv[1:])
print(sorted({"torch", "torch_npu", "onnx"} & set(sys.modules)))
sys.exit(code)
"""


def test_import_loads_neither(broken):
    assert broken("-c", "import cvport, sys; print({'torch', 'torch_npu'} & set(sys.modules))") == "set()\n"


def test_onnx_needs_no_torch(broken, exported, picture):
    text = broken("-c", LIGHT, "-m", exported[1], "--backend", "onnx", "--format", "json", picture)
    result, _, modules = text.rstrip().rpartition("\n")
    assert json.loads(result)["backend"] == "onnx"
    assert modules == "[]"


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_other_backends_work(broken, exported, picture, backend):
    model = ["-m", exported[1], "--weights", exported[2]] if backend == "torch" else ["-m", exported[1]]
    found = json.loads(broken(*CVRUN, *model, "--backend", backend, "--format", "json", picture))
    assert found["backend"] == {"torch": "torch", "auto": "onnx"}[backend]


def test_doctor_of_a_broken_machine(broken):
    text = broken(*CVEXPORT, "doctor")
    assert "not here: torch_npu does not find CANN: libhccl.so: cannot open shared object file" in text
    assert "source /usr/local/Ascend/ascend-toolkit/set_env.sh" in text
    assert "  torch  ready" in text


def test_asking_for_the_npu_fails(python, picture):
    done = python(*CVRUN, "--backend", "npu", "--weights", "seeded", picture)
    assert (done.returncode, done.stdout) == (5, "")
    assert "torch_npu does not find CANN" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_other_test_sees_the_wheel(wheel):
    """A plain `import torch` would fail in all of them."""
    found = importlib.util.find_spec("torch_npu")
    assert found is None or not Path(found.origin).is_relative_to(wheel)
