"""torch.npu as torch_npu has it."""

import pytest
import torch


def test_devices(npu):
    npu.devices = 2
    assert torch.npu.is_available()
    assert torch.npu.device_count() == 2
    assert torch.npu.current_device() == 0
    for device, index in ((1, 1), ("npu:0", 0), (torch.device("npu:1"), 1)):
        torch.npu.set_device(device)
        assert torch.npu.current_device() == index
    assert torch.ones(1, device="npu").device.index == 1
    with torch.npu.device(0):
        assert torch.ones(1, device="npu").device.index == 0
    assert torch.npu.current_device() == 1
    with pytest.raises(RuntimeError, match="error code is 107001"):
        torch.npu.set_device(2)


def test_name(npu):
    npu.soc = "Ascend310P3"
    assert torch.npu.get_device_name() == torch.npu.get_device_name("npu:0") == "Ascend310P3"
    assert torch.npu.get_device_properties(0).total_memory == npu.memory
    with pytest.raises(AssertionError, match="Invalid device id"):
        torch.npu.get_device_name(1)


def test_no_device(npu):
    npu.devices = 0
    assert not torch.npu.is_available()
    for use in (torch.npu.current_device, torch.npu.synchronize, lambda: torch.ones(1, device="npu")):
        with pytest.raises(RuntimeError, match="error code is 107001"):
            use()


def test_flags(npu):
    assert (torch.npu.conv.allow_hf32, torch.npu.matmul.allow_hf32) == (True, False)
    torch.npu.conv.allow_hf32, torch.npu.matmul.allow_hf32 = False, True
    assert (npu.conv_hf32, npu.matmul_hf32) == (False, True)
    torch.npu.set_compile_mode(jit_compile=False)
    assert torch.npu.is_jit_compile_false()
    torch.npu.config.allow_internal_format = False
    assert npu.internal_format is False
    with pytest.raises(AttributeError):
        torch.npu.config.allow_internal_format  # noqa: B018
    with pytest.raises(AttributeError):
        torch.npu.conv.allow_tf32 = True


def test_events_without_timing(npu):
    first, second = torch.npu.Event(), torch.npu.Event(enable_timing=True)
    with pytest.raises(RuntimeError, match="enable_timing=True"):
        first.elapsed_time(second)
    with pytest.raises(RuntimeError, match="must be recorded"):
        second.elapsed_time(torch.npu.Event(enable_timing=True))


def test_memory_statistics(npu):
    torch.ones(1 << 10, device="npu")
    assert torch.npu.max_memory_allocated() == 4096
    torch.npu.reset_peak_memory_stats()
    assert torch.npu.max_memory_allocated() == torch.npu.memory_reserved() == 0
    torch.npu.empty_cache()
    assert npu.cache_drops == 1
