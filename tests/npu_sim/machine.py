"""The state of the simulated machine: what it is, what torch.npu has set, what has happened on it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

GIB = 1 << 30

# torch_npu's order of SoC versions: these come before Ascend910B1, all others after it.
_BEFORE_910B1 = ("Ascend310P", "Ascend910A", "Ascend910ProA", "Ascend910ProB", "Ascend910PremiumA")

_NO_SUCH_DEVICE = (
    "exchangeDevice: NPU function error: c10_npu::SetDevice(d.index()), error code is 107001\n"
    "[ERROR] ERR00100 PTA call acl api failed\n"
    "[Error]: Invalid device ID.\n"
    "        Check whether the device ID is valid."
)


def device_error(code: int, text: str = "The aicore execution is abnormal.") -> RuntimeError:
    """Return an error as torch_npu raises it where a kernel or the device has failed."""
    return RuntimeError(
        f"npuSynchronizeDevice: NPU function error: AclrtSynchronizeDeviceWithTimeout, error code is {code}\n"
        f"[ERROR] ERR00100 PTA call acl api failed\n[Error]: {text}\n"
        "        Rectify the fault based on the error information in the ascend log."
    )


class Ledger:
    """Bytes allocated on each device. Tensors keep the ledger that they were booked in."""

    def __init__(self) -> None:
        self.allocated: Counter[int] = Counter()
        self.peak: Counter[int] = Counter()

    def add(self, index: int, size: int) -> None:
        self.allocated[index] += size
        self.peak[index] = max(self.peak[index], self.allocated[index])

    def remove(self, index: int, size: int) -> None:
        self.allocated[index] -= size


@dataclass
class Pending:
    """A copy that was asked for and has not happened yet: *finish* does it, or checks that it could."""

    device: int
    ticket: int
    finish: Callable[[], None]


@dataclass
class Machine:
    """Knobs first, then what torch.npu sets, then what was seen.

    Attributes:
        devices: How many there are; 0 while the simulation is not plugged in.
        soc: Name that `get_device_name` returns.
        memory: Bytes of each device.
        asynchronous: Whether copies from and to pinned memory happen at the next synchronisation only.
        compile_seconds: Time that the first run of each operator on each shapes takes longer.
        gelu_is_tanh: Whether GELU is computed in its tanh form, whatever was asked.
        unsupported: Operators, as "aten::add", that raise.
        cpu_fallbacks: Operators that warn of running on the CPU.
        faults: Errors that operators, or "synchronize", raise.
        wrong_for: Shape of the weights with which convolutions and products come out two percent too large.
        calls: Runs of each operator.

    """

    devices: int = 0
    soc: str = "Ascend910B3"
    memory: int = 32 * GIB
    cann: str = "8.3.RC1"
    asynchronous: bool = True
    compile_seconds: float = 0.0
    gelu_is_tanh: bool = True
    unsupported: set[str] = field(default_factory=set)
    cpu_fallbacks: set[str] = field(default_factory=set)
    faults: dict[str, Exception] = field(default_factory=dict)
    wrong_for: tuple[int, ...] | None = None

    current: int = 0
    conv_hf32: bool = True
    matmul_hf32: bool = False
    jit_compile: bool = True
    internal_format: bool | None = None

    calls: Counter[str] = field(default_factory=Counter)
    synchronisations: int = 0
    cache_drops: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    pending: list[Pending] = field(default_factory=list)
    tickets: int = 0
    _compiled: set[object] = field(default_factory=set)

    def reset(self, **knobs: object) -> None:
        """Become a new machine."""
        self.__init__(**knobs)  # type: ignore[misc]

    @property
    def computes_in_fp16(self) -> bool:
        """Whether float32 convolutions and matrix products are computed in float16: SoCs before 910B1."""
        return self.soc in ("Ascend910", "Ascend910B") or self.soc.startswith(_BEFORE_910B1)

    def check(self, index: int) -> None:
        """Raise torch_npu's error if there is no such device."""
        if not 0 <= index < self.devices:
            raise RuntimeError(_NO_SUCH_DEVICE)

    def reserve(self, index: int, size: int) -> Ledger:
        """Take memory, and return the ledger to give it back to."""
        self.check(index)
        used = self.ledger.allocated[index]
        if used + size > self.memory:
            raise torch.OutOfMemoryError(
                f"NPU out of memory. Tried to allocate {size / 2**20:.2f} MiB (NPU {index}; "
                f"{self.memory / GIB:.2f} GiB total capacity; {used / GIB:.2f} GiB already allocated; "
                f"{used / GIB:.2f} GiB current active; {(self.memory - used) / GIB:.2f} GiB free; "
                f"{used / GIB:.2f} GiB reserved in total by PyTorch)"
            )
        self.ledger.add(index, size)
        return self.ledger

    def enter(self, name: str, shapes: object) -> None:
        """Count a run of an operator, raise its fault, take the time of its compilation."""
        self.calls[name] += 1
        if name in self.faults:
            raise self.faults[name]
        if name in self.unsupported:
            raise NotImplementedError(f"Could not run '{name}' with arguments from the 'NPU' backend.")
        if self.compile_seconds and (name, shapes) not in self._compiled:
            self._compiled.add((name, shapes))
            time.sleep(self.compile_seconds)

    def distort(self, weight: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        """Return what a kernel made, or what a wrong one makes of weights of the shape `wrong_for`."""
        wrong = self.wrong_for is not None and tuple(weight.shape) in (self.wrong_for, self.wrong_for[::-1])
        return result * 1.02 if wrong else result

    def defer(self, device: int, finish: Callable[[], None]) -> None:
        """Put a copy into the device's stream."""
        self.tickets += 1
        self.pending.append(Pending(device, self.tickets, finish))

    def finish(self, device: int, until: int | None = None) -> None:
        """Do what is pending on a device, up to a ticket where one is given."""
        due = [copy for copy in self.pending if copy.device == device and (until is None or copy.ticket <= until)]
        self.pending = [copy for copy in self.pending if copy not in due]
        for copy in due:
            copy.finish()

    def synchronise(self, device: int, until: int | None = None) -> None:
        """Wait for a device, as a program does that asks for it."""
        self.check(device)
        self.synchronisations += 1
        if "synchronize" in self.faults:
            raise self.faults["synchronize"]
        self.finish(device, until)


machine = Machine()
