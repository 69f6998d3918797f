"""What a backend is, and the table of those there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ...errors import BackendError, did_you_mean
from ...models.lazy import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Literal, Self

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


class Backend(Protocol):
    """Runs one network: arrays in, arrays out. Knows no image, no box and no model."""

    name: str
    device: str

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for float32 inputs by name; returns when they are on the host."""

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Do what only the first run of inputs of this shape needs, so that no measured run does it."""

    def close(self) -> None:
        """Release the device's memory."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BackendEntry(NamedTuple):
    """Where a backend is.

    Attributes:
        module: Its module, imported when it is asked for. It has ``why_not(device) -> str | None``, the reason why it
            cannot run here, and ``open_backend``.
        needs: What it runs: an exported "onnx" file, or a "network" built from weights.
        summary: A few words for people.
        devices: Kinds of device that it knows, before the colon.
        precisions: What ``--precision`` takes, its default first; empty where there is no choice.

    """

    module: str
    needs: Literal["onnx", "network"]
    summary: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...] = ()


BACKENDS = {
    "onnx": BackendEntry(".onnx", "onnx", "ONNX Runtime", ("cpu", "cuda")),
    "torch": BackendEntry(".torch", "network", "PyTorch, cpu or cuda", ("cpu", "cuda")),
    "npu": BackendEntry(".npu", "network", "Ascend NPU through torch_npu", ("npu",), ("strict", "production", "fp16")),
}

# What `auto` tries, in this order.
AUTO_ORDER = ("npu", "onnx")


def why_not(name: str, device: str | None = None) -> str | None:
    """Return why a backend cannot run here, or None if it can."""
    reason: Callable[[str | None], str | None] = resolve(f"{BACKENDS[name].module}:why_not", __package__ or "")
    return reason(device)


def choose_backend(name: str, device: str | None = None, *, networks: bool = True) -> str:
    """Return the name of an available backend; "auto" picks one.

    Args:
        name: Of a backend, or "auto".
        device: Of it; "auto" looks only at backends that know this kind.
        networks: Whether there is something to build a network from; if not, "auto" looks only at those that run
            exported files.

    Raises:
        BackendError: There is no such backend, or it or its device is not available.

    """
    if name == "auto":
        kind = None if device is None else device.partition(":")[0]
        fits = [
            choice
            for choice in AUTO_ORDER
            if (kind is None or kind in BACKENDS[choice].devices) and (networks or BACKENDS[choice].needs == "onnx")
        ] or [AUTO_ORDER[-1]]
        name = next((choice for choice in fits if why_not(choice, device) is None), fits[-1])
    if name not in BACKENDS:
        raise BackendError(f"there is no backend {name!r}", did_you_mean(name, [*BACKENDS, "auto"]))
    reason = why_not(name, device)
    if reason:
        cause, _, hint = reason.partition("\n")
        raise BackendError(f"backend {name} is not available: {cause}", hint)
    return name
