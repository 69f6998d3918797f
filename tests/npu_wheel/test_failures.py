"""Why the NPU cannot run, by what the real torch_npu says."""

from __future__ import annotations

import json

import pytest

from npu_wheel.stub_cann import build

pytestmark = pytest.mark.npu_wheel

# What it prints is all that may be on stdout.
ASK = """
import json, sys
from cvport.models.errors import BackendError
from cvport.runtimes.backend import choose_backend, why_not
reason = why_not("npu", *sys.argv[1:])
try:
    named = choose_backend("npu", *sys.argv[1:])
except BackendError as error:
    named = error.exit_code
print(json.dumps([reason, named, why_not("torch"), choose_backend("auto", *sys.argv[1:])]))
"""


@pytest.fixture
def reason(python):
    """``reason("npu:1", cann=folder)`` returns the cause and the next step."""

    def ask(*device, **machine):
        done = python("-c", ASK, *device, **machine)
        assert done.returncode == 0, done.stderr
        reason, named, torch, auto = json.loads(done.stdout)
        assert torch is None, "PyTorch itself is sound"
        assert (named, auto) == (("npu", "npu") if reason is None else (5, "onnx"))
        return tuple((reason or "it can\n").split("\n"))

    return ask


def test_device_that_answers(reason, cann):
    assert reason(cann=cann) == ("it can", "")


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
    ask = "from cvport.runtimes.backend import why_not; print(why_not('npu'))"
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


def test_index_out_of_range(reason, cann):
    assert reason("npu:1", cann=cann, devices=2) == ("it can", "")
    assert reason("npu:2", cann=cann, devices=2)[0] == "there is no npu:2: 2 devices, npu:0 to npu:1"
