"""Device tensors share bytes, are booked, and give their memory back."""

import gc

import pytest
import torch

MIB = 1 << 20


def test_tensor_on_the_device(npu):
    x = torch.arange(6.0).reshape(2, 3)
    on_device = x.to("npu:0")
    assert (on_device.device.type, on_device.device.index, on_device.is_npu) == ("npu", 0, True)
    assert torch.equal(on_device.cpu(), x)
    assert torch.equal(on_device[:, 1:].cpu(), x[:, 1:])
    with pytest.raises(TypeError, match="npu"):
        on_device.numpy()


def test_bytes_are_booked_and_given_back(npu):
    x = torch.empty(MIB, device="npu")
    assert torch.npu.memory_allocated() == 4 * MIB
    view = x[: MIB // 2]
    doubled = x * 2
    assert torch.npu.memory_allocated() == 8 * MIB, "a view takes nothing"
    del x, doubled
    assert torch.npu.memory_allocated() == 4 * MIB, "the view holds its bytes"
    del view
    assert torch.npu.memory_allocated() == 0
    assert torch.npu.max_memory_allocated() == 8 * MIB


def test_limit_is_that_of_each_device(npu):
    npu.devices, npu.memory = 2, 6 * MIB
    kept = torch.empty(MIB, device="npu:0")
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(MIB, device="npu:0")
    assert str(caught.value).startswith("NPU out of memory. Tried to allocate 4.00 MiB (NPU 0; ")
    assert torch.empty(MIB, device="npu:1").device.index == 1
    assert torch.npu.mem_get_info(0) == (2 * MIB, 6 * MIB)
    del kept
    assert torch.npu.mem_get_info(0) == (6 * MIB, 6 * MIB)


def test_tensors_of_an_earlier_machine_are_no_business_of_the_next(npu):
    before = torch.empty(MIB, device="npu")
    npu.reset(devices=1)
    assert torch.npu.memory_allocated() == 0
    del before
    assert torch.npu.memory_allocated() == 0


def test_pinned_memory(npu):
    plain = torch.arange(6.0)
    pinned = plain.pin_memory()
    assert (plain.is_pinned(), pinned.is_pinned()) == (False, True)
    assert torch.equal(pinned, plain)
    part = pinned[2:]
    del pinned
    gc.collect()
    assert part.is_pinned()
    assert pinned_again(part) is part


def pinned_again(tensor):
    return tensor.pin_memory()
