"""Storages of the device: torch makes them with a C++ allocator, which the simulation has none of, and would crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .machine import machine
from .memory import device_tensor


@contextmanager
def patched() -> Iterator[None]:
    """Have storages cloned (as `copy.deepcopy` does) and moved (as `torch.load` does) without that allocator."""
    kind = torch.UntypedStorage
    clone, to = kind.clone, kind.to

    def clone_anywhere(storage: Any) -> Any:
        return _copy(storage, storage.device) if storage.device.type == "npu" else clone(storage)

    def to_anywhere(storage: Any, *, device: Any, non_blocking: bool = False) -> Any:
        target = torch.device(device)
        return _copy(storage, target) if target.type == "npu" else to(storage, device=device, non_blocking=non_blocking)

    kind.clone, kind.to = clone_anywhere, to_anywhere
    try:
        yield
    finally:
        del kind.clone, kind.to  # the methods are those of a base class


def _copy(storage: Any, device: torch.device) -> Any:
    # The host's own bytes would be shared: a copy of them goes to the device.
    values = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage).cpu().clone()
    index = machine.current if device.index is None else device.index
    return device_tensor(values, index).untyped_storage()
