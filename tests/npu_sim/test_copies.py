"""Asynchronous copies: what is read or overwritten too early is seen."""

import pytest
import torch

from npu_sim.copies import HostMemoryRaceError


@pytest.fixture
def pinned(npu):
    return torch.zeros(4).pin_memory()


def test_to_pinned_memory_is_there_after_a_synchronisation_only(npu, pinned):
    source = torch.arange(4.0, device="npu")
    pinned.copy_(source, non_blocking=True)
    assert pinned.isnan().all()
    source.add_(1)  # later in the stream: the copy does not see it
    assert pinned.isnan().all(), "an operator is no synchronisation"
    torch.npu.synchronize()
    assert pinned.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("dtype", "poison"), [(torch.int64, 2**63 - 1), (torch.uint8, 255), (torch.bool, True)])
def test_poison_of_other_dtypes(npu, dtype, poison):
    target = torch.zeros(2, dtype=dtype).pin_memory()
    target.copy_(torch.zeros(2, dtype=dtype, device="npu"), non_blocking=True)
    assert target.tolist() == [poison] * 2
    torch.npu.synchronize()
    assert target.tolist() == [0, 0]


def test_new_host_tensor_is_pinned_and_just_as_late(npu):
    host = torch.ones(3, device="npu").to("cpu", non_blocking=True)
    assert host.is_pinned()
    assert host.isnan().all()
    torch.npu.synchronize()
    assert host.tolist() == [1, 1, 1]


def test_without_pinned_memory_nothing_is_asynchronous(npu):
    target = torch.zeros(4)
    target.copy_(torch.arange(4.0, device="npu"), non_blocking=True)
    assert target.tolist() == [0, 1, 2, 3]


def test_blocking_copy_waits_for_those_before_it(npu, pinned):
    pinned.copy_(torch.arange(4.0, device="npu"), non_blocking=True)
    torch.ones(1, device="npu").cpu()
    assert pinned.tolist() == [0, 1, 2, 3]


def test_kernels_see_what_was_sent(npu, pinned):
    pinned.fill_(3)
    assert (pinned.to("npu", non_blocking=True) * 2).cpu().tolist() == [6] * 4


def test_overwriting_what_is_being_sent_is_reported(npu, pinned):
    pinned.to("npu", non_blocking=True)
    pinned.fill_(1)
    with pytest.raises(HostMemoryRaceError, match="overwritten before the copy"):
        torch.npu.synchronize()


def test_overwriting_after_a_synchronisation_is_fine(npu, pinned):
    sent = pinned.to("npu", non_blocking=True)
    torch.npu.synchronize()
    pinned.fill_(1)
    torch.npu.synchronize()
    assert sent.cpu().tolist() == [0] * 4


def test_other_device_is_not_waited_for(npu, pinned):
    npu.devices = 2
    pinned.copy_(torch.arange(4.0, device="npu:1"), non_blocking=True)
    torch.npu.synchronize()
    assert pinned.isnan().all()
    torch.npu.synchronize("npu:1")
    assert pinned.tolist() == [0, 1, 2, 3]


def test_events_and_streams(npu, pinned):
    later = torch.zeros(1).pin_memory()
    pinned.copy_(torch.arange(4.0, device="npu"), non_blocking=True)
    event = torch.npu.Event(enable_timing=True)
    event.record()
    later.copy_(torch.ones(1, device="npu"), non_blocking=True)
    assert not event.query()
    event.synchronize()
    assert event.query()
    assert pinned.tolist() == [0, 1, 2, 3]
    assert later.isnan(), "it came after the event"
    assert not torch.npu.current_stream().query()
    torch.npu.current_stream().synchronize()
    assert later.item() == 1
    end = torch.npu.current_stream().record_event(torch.npu.Event(enable_timing=True))
    assert event.elapsed_time(end) > 0
    assert npu.synchronisations == 2


def test_synchronous_machine(npu, pinned):
    npu.asynchronous = False
    pinned.copy_(torch.arange(4.0, device="npu"), non_blocking=True)
    assert pinned.tolist() == [0, 1, 2, 3]


def test_between_devices(npu):
    npu.devices = 2
    moved = torch.arange(3.0, device="npu:0").to("npu:1")
    assert (moved.device.index, moved.cpu().tolist()) == (1, [0, 1, 2])


def test_dtype_and_memory_format(npu):
    x = torch.rand(1, 3, 4, 5)
    half = x.to("npu").half()
    assert half.dtype == torch.float16
    assert torch.equal(half.cpu(), x.half())
    last = x.to("npu").to(memory_format=torch.channels_last)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last.cpu(), x)
