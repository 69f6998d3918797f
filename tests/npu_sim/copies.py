"""Copies between host and device, in the order of the device's stream."""

from __future__ import annotations

import torch
from torch import Tensor

from .machine import machine
from .memory import device_tensor, host_view, is_pinned, on_device, pin


class HostMemoryRaceError(AssertionError):
    """Pinned memory was overwritten while a copy to the device could still be reading it."""


def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy between any two devices (`aten::_copy_from`); *target* is returned."""
    machine.enter("aten::_copy_from", (tuple(source.shape), str(source.device), str(target.device)))
    here, there = (host_view(tensor) if on_device(tensor) else tensor for tensor in (source, target))
    if non_blocking and machine.asynchronous and not on_device(target) and is_pinned(target):
        _read_later(source.device.index, here, there)
    elif non_blocking and machine.asynchronous and not on_device(source) and is_pinned(source):
        _write_watched(target.device.index, here, there)
    else:
        there.copy_(here)
        for tensor in (source, target):
            if on_device(tensor) and source.device != target.device:
                machine.finish(tensor.device.index)  # a blocking copy waits for the stream
    return target


def to_copy(
    tensor: Tensor,
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: torch.device | None = None,
    pin_memory: bool | None = None,
    non_blocking: bool = False,
    memory_format: torch.memory_format | None = None,
) -> Tensor:
    """Return a copy of another dtype or on another device (`aten::_to_copy`)."""
    dtype, device = dtype or tensor.dtype, device if device is not None else tensor.device
    if memory_format in (None, torch.preserve_format):
        made = torch.empty_like(host_view(tensor) if on_device(tensor) else tensor, dtype=dtype)
    else:
        made = torch.empty(tensor.shape, dtype=dtype, memory_format=memory_format)
    if device.type == "npu":
        made = device_tensor(made, machine.current if device.index is None else device.index)
    elif non_blocking:
        made = pin(made)  # as torch does, so that the copy can be asynchronous
    return copy_from(tensor, made, non_blocking)


def _read_later(device: int, source: Tensor, target: Tensor) -> None:
    """Copy to pinned memory: its contents mean nothing before the device is waited for."""
    values = source.clone()  # as of now in the stream's order, whatever is written to it later
    if target.dtype.is_floating_point:
        target.fill_(float("nan"))
    else:
        target.fill_(True if target.dtype == torch.bool else torch.iinfo(target.dtype).max)
    machine.defer(device, lambda: _assign(target, values))


def _write_watched(device: int, source: Tensor, target: Tensor) -> None:
    """Copy from pinned memory: kernels that follow see the values, but until then the host may not change them."""
    target.copy_(source)
    values = source.clone()

    def check() -> None:
        if not torch.equal(source.nan_to_num(), values.nan_to_num()):
            raise HostMemoryRaceError(
                "pinned memory was overwritten before the copy from it to the device was waited for"
            )

    machine.defer(device, check)


def _assign(target: Tensor, values: Tensor) -> None:
    target.copy_(values)
