"""The NPU backend on the stub's devices, through the real torch_npu; module `device` does the work."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.npu_wheel

# cubeMathType of CANN's convolution: float32 stays float32, or may be rounded to HF32.
KEEP_FLOAT32, USE_HF32 = 0, 3


def test_flags_read_back(seen):
    flags = seen["flags"]
    assert flags["default"] == [True, False], "of convolutions, of matrix products"
    assert flags["turned"] == [False, True]
    assert flags["compiles"] == [True, False]
    assert flags["reading internal format"] == "AttributeError"


@pytest.mark.parametrize(
    ("precision", "hf32", "math"),
    [("strict", False, KEEP_FLOAT32), ("production", True, USE_HF32), ("fp16", True, USE_HF32)],
)
def test_precision_reaches_the_kernel(seen, precision, hf32, math):
    found = seen["precisions"][precision]
    assert (found["settings"]["conv_allow_hf32"], found["settings"]["matmul_allow_hf32"]) == (hf32, False)
    assert f"aclnnConvolutionGetWorkspaceSize cube math type {math}" in found["first"]


def test_settings(seen):
    settings = seen["precisions"]["strict"]["settings"]
    assert (settings["soc"], settings["device_index"], settings["cann"]) == ("Ascend910B3", 1, "8.5.0")
    assert settings["torch_npu"] == settings["torch"].partition("+")[0]
    assert settings["float32_in_float16"] is False


@pytest.mark.parametrize(("precision", "size", "off"), [("strict", 4, 0), ("production", 4, 0), ("fp16", 2, 2e-3)])
def test_a_run_is_one_pinned_copy_there_kernels_pinned_copies_back_and_one_wait(seen, precision, size, off):
    """Kernels compute nothing, so only the output that is the input has values to check."""
    found = seen["precisions"][precision]
    assert found["outputs"] == {"same": ["float32", [2, 3, 16, 16]], "conv": ["float32", [2, 16, 16, 16]]}
    assert found["off"] <= off
    small, large = 2 * 3 * 16 * 16 * size, 2 * 16 * 16 * 16 * size
    expected = [
        f"aclrtMemcpyAsync pinned to device, {small} bytes, device 1",
        "aclnnConvolution",
        f"aclrtMemcpyAsync device to pinned, {small} bytes, device 1",
        f"aclrtMemcpyAsync device to pinned, {large} bytes, device 1",
        "aclrtSynchronizeDevice 1",
    ]
    done = [call for call in found["second"] if "cube" not in call]
    assert done == expected, "nothing is allocated any more"
    assert any(call.startswith("aclrtMallocHost") for call in seen["precisions"]["strict"]["first"])


def test_only_the_device_that_was_asked_for_is_opened(seen):
    opened = seen["precisions"]["strict"]["opened"]
    assert "aclrtSetDevice 1" in opened
    assert "aclrtSetDevice 0" not in opened


def test_two_devices(seen):
    found = seen["two devices"]
    assert found["right"] == [True] * 4
    assert found["waits"] == [["aclrtSynchronizeDevice 0"], ["aclrtSynchronizeDevice 1"]] * 2
    assert found["left"] == [0, 0], "closed, and closed again"


def test_forgotten_synchronisation_is_seen(seen):
    kind, text, _ = seen["two devices"]["forgotten"]
    assert kind == "BackendError"
    assert text.startswith("npu:0 does not deliver the output same")


def test_out_of_memory(seen):
    found = seen["memory"]
    assert found["told"][0] == "a batch of 8 does not fit into the memory of npu:0; running halves"
    assert found["pieces"] == [[4, 3, 256, 256]]
    assert found["right"] is True
    assert found["batch"][0] == found["network"][0] == "BackendError"
    assert found["batch"][1].startswith(
        "a batch of 4 does not fit into the memory of npu:0: NPU out of memory. Tried to"
    )
    assert "smaller --batch-size than 4" in found["batch"][1]
    assert found["network"][1].startswith("the network does not fit into the memory of npu:0: NPU out of memory. Tried")


@pytest.mark.parametrize("name", ["yolox", "nanodet", "hand_static", "landmarks68", "emotion"])
def test_every_network_has_its_operators(device_run, name):
    """torch_npu knows them all, takes their arguments, and infers the shapes that PyTorch does."""
    seen, said = device_run
    found = seen["networks"][name]
    assert found["outputs"] == found["expected"]
    assert found["kernels"] > 100
    told = re.findall(r"The operator '(\S+)' .* will fall back to run on the CPU", said)
    assert told == ["aten::_linalg_eigvals"], "which no network has: it is there to see how it is told"
    assert not any("fall back" in text for text in seen["fallback"]), "on stderr by torch_npu, no warning of Python's"


# Code and text of an error that the caller gets, and one of those below it.
FAULTS = {
    "aclrtSetDevice": ("npu:1 failed: ", "error code is 507033"),
    "aclrtSynchronizeDevice": ("npu:0 failed: npuSynchronizeDevice", "error code is 507015"),
    "aclnnConvolutionGetWorkspaceSize": ("npu:0 failed: ", "call aclnnConvolution failed, error code is 161002"),
    "aclnnConvolution": ("npu:0 failed: The Inner error is reported", "working operator name is aclnnConvolution"),
    "aclrtMemcpyAsync": ("npu:1 failed: The Inner error is reported", "current copy params are srclen=6144"),
}


@pytest.mark.parametrize("function", FAULTS)
def test_device_that_fails(faults, function):
    (kind, text, below), _ = faults[function]
    ours, theirs = FAULTS[function]
    assert kind == "BackendError"
    assert text.startswith(ours)
    assert "ASCEND_LAUNCH_BLOCKING=1" in text
    assert theirs in below


@pytest.mark.parametrize("function", ["aclrtSetDevice", "aclrtSynchronizeDevice", "aclnnConvolutionGetWorkspaceSize"])
def test_failure_that_leaves_the_device_usable(faults, function):
    assert faults[function][1] == ["", "", ""], "the results of the next run are right"


@pytest.mark.parametrize("function", ["aclnnConvolution", "aclrtMemcpyAsync"])
def test_failure_after_which_torch_npu_drops_everything(faults, function):
    """Without an error of its own: the results of an earlier run would be returned as those of this one."""
    kind, text, _ = faults[function][1]
    assert kind == "BackendError"
    assert "does not deliver the output same: it has failed before in this process" in text
    assert "Start a new process" in text
