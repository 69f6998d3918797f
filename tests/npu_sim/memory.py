"""Device tensors over host memory, and pinned host memory.

A CPU tensor's DLPack capsule is relabelled from kDLCPU to kDLExtDev, which torch imports as a PrivateUse1 tensor on the
same bytes, and the other way round.
"""

from __future__ import annotations

import ctypes
import weakref

import torch
from torch import Tensor

from .machine import machine

# dlpack.h, DLDeviceType.
_CPU, _EXT_DEV = 1, 12


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("index", ctypes.c_int32))


class _Tensor(ctypes.Structure):
    """The start of dlpack.h's DLManagedTensor."""

    _fields_ = (("data", ctypes.c_void_p), ("device", _Device))


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

_pinned: set[int] = set()


def on_device(value: object) -> bool:
    """Return whether *value* is a tensor of the simulated device."""
    return isinstance(value, Tensor) and value.device.type == "npu"


def host_view(tensor: Tensor) -> Tensor:
    """Return a CPU tensor over the bytes of a device tensor."""
    return _relabel(_plain(tensor), _CPU, 0)


def device_tensor(tensor: Tensor, index: int) -> Tensor:
    """Return a device tensor over the bytes of a CPU tensor, and book them."""
    # The object that the capsule owns lives exactly as long as the bytes are used on the device.
    owned = _plain(tensor).detach()
    size = owned.untyped_storage().nbytes()
    ledger = machine.reserve(index, size)
    weakref.finalize(owned, ledger.remove, index, size).atexit = False
    return _relabel(owned, _EXT_DEV, index)


def pin(tensor: Tensor, device: torch.device | None = None) -> Tensor:
    """Return a copy in pinned memory (`Tensor.pin_memory`)."""
    machine.calls["aten::_pin_memory"] += 1
    copy = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    copy.copy_(tensor)
    storage = copy.untyped_storage()
    _pinned.add(storage.data_ptr())
    weakref.finalize(storage, _pinned.discard, storage.data_ptr()).atexit = False
    return copy


def is_pinned(tensor: Tensor, device: torch.device | None = None) -> bool:
    """Return whether a CPU tensor lies in pinned memory."""
    return tensor.untyped_storage().data_ptr() in _pinned


def _plain(tensor: Tensor) -> Tensor:
    if tensor.is_neg() or tensor.is_conj():
        tensor = tensor.resolve_neg().resolve_conj()
    return tensor.detach() if tensor.requires_grad else tensor


def _relabel(tensor: Tensor, kind: int, index: int) -> Tensor:
    capsule = torch._C._to_dlpack(tensor)
    managed = _Tensor.from_address(_pointer_of(capsule, b"dltensor"))
    managed.device.kind, managed.device.index = kind, index
    return torch._C._from_dlpack(capsule)
