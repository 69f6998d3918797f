"""``torch.npu`` as torch_npu 2.13 has it, as far as inference needs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch

from .machine import machine

OutOfMemoryError = torch.OutOfMemoryError


def is_available() -> bool:
    return machine.devices > 0


def device_count() -> int:
    return machine.devices


def is_initialized() -> bool:
    return True


def init() -> None:
    machine.check(0)


def current_device() -> int:
    machine.check(machine.current)
    return machine.current


def set_device(device: Any) -> None:
    index = _index(device)
    machine.check(index)
    machine.current = index


@contextmanager
def device(device: Any) -> Iterator[None]:
    before = machine.current
    set_device(device)
    try:
        yield
    finally:
        machine.current = before


def synchronize(device: Any = None) -> None:
    """Wait for one device, the current one unless another is named."""
    machine.synchronise(_index(device))


def get_device_name(device_name: Any = None) -> str:
    return _known(device_name) and machine.soc


def get_device_properties(device_name: Any = None) -> SimpleNamespace:
    return SimpleNamespace(name=get_device_name(device_name), total_memory=machine.memory)


def set_compile_mode(jit_compile: bool = False) -> None:
    machine.jit_compile = bool(jit_compile)


def is_jit_compile_false() -> bool:
    return not machine.jit_compile


# --- memory


def mem_get_info(device: Any = None) -> tuple[int, int]:
    return machine.memory - memory_allocated(device), machine.memory


def memory_allocated(device: Any = None) -> int:
    return machine.ledger.allocated[_index(device)]


memory_reserved = memory_allocated


def max_memory_allocated(device: Any = None) -> int:
    return machine.ledger.peak[_index(device)]


def reset_peak_memory_stats(device: Any = None) -> None:
    machine.ledger.peak[_index(device)] = memory_allocated(device)


def empty_cache() -> None:
    machine.cache_drops += 1


# --- streams: every device has one, and work but copies is done when it is asked for


class Stream:
    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.device = torch.device("npu", _index(device))

    def synchronize(self) -> None:
        machine.synchronise(self.device.index)

    def query(self) -> bool:
        return all(copy.device != self.device.index for copy in machine.pending)

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Nothing overtakes anything here."""

    def wait_stream(self, stream: Stream) -> None:
        """Nothing overtakes anything here."""


class Event:
    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._timed, self._time = enable_timing, 0.0
        self._device, self._ticket = -1, 0

    def record(self, stream: Stream | None = None) -> None:
        self._device = (stream or current_stream()).device.index
        self._ticket, self._time = machine.tickets, time.perf_counter()

    def query(self) -> bool:
        return all(copy.device != self._device or copy.ticket > self._ticket for copy in machine.pending)

    def synchronize(self) -> None:
        if self._device >= 0:
            machine.synchronise(self._device, self._ticket)

    def wait(self, stream: Stream | None = None) -> None:
        """Nothing overtakes anything here."""

    def elapsed_time(self, end_event: Event) -> float:
        """Return milliseconds."""
        if not (self._timed and end_event._timed):
            raise RuntimeError("Both events must be created with argument 'enable_timing=True'.")
        if not (self._time and end_event._time):
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return (end_event._time - self._time) * 1e3


def current_stream(device: Any = None) -> Stream:
    return Stream(device)


default_stream = current_stream


@contextmanager
def stream(stream: Stream) -> Iterator[None]:
    yield


# --- flags


class _Flag:
    """``conv`` and ``matmul``: one attribute, ``allow_hf32``."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattr__(self, key: str) -> bool:
        if key != "allow_hf32":
            raise AttributeError(key)
        return getattr(machine, self._name)

    def __setattr__(self, key: str, value: bool) -> None:
        if key != "allow_hf32":
            raise AttributeError(key)
        setattr(machine, self._name, bool(value))


class _Config:
    """Write-only: reading raises AttributeError."""

    def __setattr__(self, key: str, value: bool) -> None:
        if key == "allow_internal_format":
            machine.internal_format = bool(value)


conv = _Flag("conv_hf32")
matmul = _Flag("matmul_hf32")
config = _Config()


# --- versions, and what torch asks a device module for


def _cann_version(module: str = "CANN") -> str:
    return machine.cann


utils = SimpleNamespace(get_cann_version=_cann_version)


def manual_seed(seed: int) -> None:
    """Nothing is random here."""


manual_seed_all = manual_seed


def get_amp_supported_dtype() -> list[torch.dtype]:
    return [torch.float16, torch.bfloat16]


def is_bf16_supported() -> bool:
    return not machine.computes_in_fp16


def _is_in_bad_fork() -> bool:
    return False


def _lazy_init() -> None:
    """There is nothing to set up."""


def _index(device: Any) -> int:
    if device is None:
        return machine.current
    if isinstance(device, int):
        return device
    index = torch.device(device).index
    return machine.current if index is None else index


def _known(device: Any) -> bool:
    if not 0 <= _index(device) < machine.devices:
        raise AssertionError("Invalid device id")
    return True
