"""Why the NPU cannot run, by what the real torch_npu says."""

from __future__ import annotations

import json

import pytest

from npu_wheel.stub_cann import build

pytestmark = pytest.mark.npu_wheel

# What it prints is all that may be on stdout.
ASK = """
import json, sys
from cvport.errors import BackendError
from cvport.runtimes.backends.registry import choose_backend, unavailable_reason

def choose(device):
    try:
        return choose_backend("npu", device)
    except BackendError as error:
        return error.exit_code

devices = sys.argv[1:] or [None]
asked = [[unavailable_reason("npu", device), choose(device)] for device in devices]
print(json.dumps([asked, choose_backend("auto"), unavailable_reason("torch")]))
"""


@pytest.fixture
def ask(python):
    """``ask("npu:1", cann=folder)`` returns the reason and what choosing it gives, for each device, and `auto`."""

    def ask(*devices, **machine):
        done = python("-c", ASK, *devices, **machine)
        assert done.returncode == 0, done.stderr
        asked, auto, torch = json.loads(done.stdout)
        assert torch is None, "PyTorch itself is sound"
        return asked, auto

    return ask


@pytest.fixture
def reason(ask):
    """``reason(cann=folder)`` returns the cause and the next step."""

    def reason(**machine):
        ((text, chosen),), auto = ask(**machine)
        assert (chosen, auto) == (5, "onnx")
        return tuple(text.split("\n"))

    return reason


def test_devices_that_answer(ask, cann):
    asked, auto = ask("npu", "npu:0", "npu:1", "npu:2", cann=cann, devices=2)
    assert auto == "npu"
    assert asked[:3] == [[None, "npu"]] * 3
    text, chosen = asked[3]
    assert text.startswith("there is no npu:2: 2 devices, npu:0 to npu:1\n")
    assert chosen == 5


def test_no_cann(reason):
    cause, hint = reason()
    assert cause == "torch_npu does not find CANN: libhccl.so: cannot open shared object file"
    assert "source /usr/local/Ascend/ascend-toolkit/set_env.sh" in hint


def test_no_cann_and_autoload(reason, python):
    """A plain `import torch` is broken then, and cvport's is not, whoever has asked for the plug-ins."""
    plain = python("-c", "import torch")
    assert plain.returncode == 1
    assert "RuntimeError: Failed to load the backend extension: torch_npu." in plain.stderr
    assert "ImportError: libhccl.so: cannot open shared object file" in plain.stderr
    ask = "from cvport.runtimes.backends.registry import unavailable_reason; print(unavailable_reason('npu'))"
    done = python("-c", ask, TORCH_DEVICE_BACKEND_AUTOLOAD="1")
    assert done.stdout.startswith("torch_npu does not find CANN: libhccl.so: cannot open shared object file\n")


def test_cann_without_a_function(reason, wheel, tmp_path):
    older = build(tmp_path / "older", wheel, without={"aclrtUnmapMem"})
    cause, hint = reason(cann=older)
    assert cause.startswith("torch_npu does not fit this torch or this CANN (torch 2.")
    assert cause.endswith("/torch_npu/lib/libtorch_npu.so: undefined symbol: aclrtUnmapMem")
    assert hint.startswith("Install versions that belong together")


def test_wheel_for_another_torch(reason, tmp_path):
    """Told from the versions alone: what the wheel says without CANN hides it."""
    info = tmp_path / "torch_npu-2.12.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_npu\nVersion: 2.12.0\n")
    cause, hint = reason(before=tmp_path)
    assert cause.startswith("torch_npu 2.12.0 is made for torch 2.12.0, but torch 2.")
    assert "pip install 'torch==2.12.0'" in hint


def test_cann_in_another_place_than_told(reason, cann, tmp_path):
    cause, hint = reason(cann=cann, ASCEND_HOME_PATH=str(tmp_path))
    assert ": ASCEND_OPP_PATH environment variable is not set. Please check whether the opp package" in cause
    assert "source set_env.sh" in cause
    assert hint == "Try it alone: python -c 'import torch_npu'"


@pytest.mark.parametrize("machine", [{"devices": 0}, {"STUB_CANN_FAIL": "aclrtGetDeviceCount=507899"}], ids=str)
def test_no_device(reason, cann, machine):
    """torch_npu counts no devices where the driver fails."""
    cause, hint = reason(cann=cann, **machine)
    assert cause == "no Ascend device answers"
    assert "npu-smi info" in hint
