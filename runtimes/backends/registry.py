"""The table of backends: how one is chosen and opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ...errors import BackendError, UsageError, did_you_mean
from ...models.lazy import resolve
from .base import UNNAMED, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...models.spec import Signature
    from .base import Backend


class BackendEntry(NamedTuple):
    """One row of the table.

    Attributes:
        module: The backend's module (see `base`), imported when it is asked for: relative to this package, or absolute.
        needs: What the backend runs: an exported "onnx" file, or a "network" built from weights.
        summary: A few words for people.
        devices: The kinds of device that the backend knows: what stands before the colon.
        precisions: What ``--precision`` takes, the default first; empty where there is no choice.
        takes_providers: Whether ``--providers`` chooses what runs its operators.
        shares_cores: Whether several runs on the CPU at once are faster than one after the other.

    """

    module: str
    needs: Literal["onnx", "network"]
    summary: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...] = ()
    shares_cores: bool = False
    takes_providers: bool = False


BACKENDS = {
    "onnx": BackendEntry(".onnx", "onnx", "ONNX Runtime", ("cpu", "cuda"), shares_cores=True, takes_providers=True),
    "torch": BackendEntry(".torch", "network", "PyTorch, cpu or cuda", ("cpu", "cuda")),
    "npu": BackendEntry(".npu", "network", "Ascend NPU through torch_npu", ("npu",), ("strict", "production", "fp16")),
}

# The backends that `auto` tries, in this order.
AUTO_ORDER = ("npu", "onnx")


def unavailable_reason(name: str, device: str | None = None) -> str | None:
    """Return why a backend cannot run here, or None if it can: the cause and, after a newline, the next step."""
    reason: Callable[[str | None], str | None] = _resolve(name, "unavailable_reason")
    return reason(device)


def choose_backend(name: str, device: str | None = None, *, networks: bool = True) -> str:
    """Return the name of an available backend; "auto" picks one.

    Args:
        name: A backend's name, or "auto".
        device: The device to run on; "auto" looks only at backends that know this kind of device.
        networks: Whether there is something to build a network from; if not, "auto" prefers backends that run exported
            files.

    Raises:
        UsageError: The name is that of a device.
        BackendError: There is no such backend, or it or its device is not available.

    """
    if name == "auto":
        fits = _auto_candidates(device, networks)
        name = next((choice for choice in fits if unavailable_reason(choice, device) is None), fits[-1])
    if name not in BACKENDS:
        _refuse_device(name)
        raise BackendError(f"there is no backend {name!r}", did_you_mean(name, [*BACKENDS, "auto"]))
    reason = unavailable_reason(name, device)
    if reason:
        raise unavailable(name, reason)
    return name


def check_precision(name: str, precision: str | None) -> None:
    """Refuse a precision that a backend does not have; None is its default.

    Raises:
        UsageError: There is no such precision.

    """
    known = BACKENDS[name].precisions
    if precision is None or precision in known:
        return
    able = [other for other, entry in BACKENDS.items() if entry.precisions]
    hint = did_you_mean(precision, known) if known else f"Leave it out; backends with a choice: {', '.join(able)}."
    raise UsageError(f"backend {name} has no precision {precision!r}", hint)


def open_backend(
    name: str,
    runnable: object,
    *,
    device: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
    signature: Signature | None = None,
    providers: Sequence[str] | None = None,
    optimised: bool = True,
) -> Backend:
    """Open a backend on what it runs.

    Args:
        name: The backend's name.
        runnable: The `Path` of an exported file for a backend that needs "onnx"; a ``torch.nn.Module`` that maps one
            (N, 3, H, W) float32 tensor to a dict of tensors by name for one that needs a "network".
        device: The device to run on; None is the backend's default.
        threads: CPU threads of the network; None is the backend's default.
        precision: One of the row's `precisions`; None is the backend's default.
        providers: What runs the operators of a file, in the order of preference; None is the device's own.
        optimised: Whether the graph of a file may be rewritten before it runs.
        signature: Names of the network's inputs and outputs; a file has its own.

    Raises:
        UsageError: The backend has no such precision.
        BackendError: The backend or the device is not available.
        ArtifactError: The file is missing or cannot be run.

    """
    choose_backend(name, device)
    check_precision(name, precision)
    opener: Callable[..., Backend] = _resolve(name, "open_backend")
    more: dict[str, Any] = {}
    if providers is not None:
        if not BACKENDS[name].takes_providers or device is not None:
            raise UsageError("--providers is for ONNX Runtime, in the place of --device", "Leave one of them out.")
        more = {"providers": providers}
    if not optimised:
        if not BACKENDS[name].takes_providers:
            raise UsageError(f"{name} rewrites no graph of a file", "Only ONNX Runtime can be told not to.")
        more["optimised"] = False
    return opener(runnable, device=device, threads=threads, precision=precision, signature=signature or UNNAMED, **more)


def _resolve(name: str, attribute: str) -> Any:  # noqa: ANN401
    return resolve(f"{BACKENDS[name].module}:{attribute}", __package__ or "")


def _auto_candidates(device: str | None, networks: bool) -> Sequence[str]:
    """Return the backends that `auto` may take for a device, at least one."""
    if device is None:
        fits = list(AUTO_ORDER)
    else:
        kind = device.partition(":")[0]
        fits = [choice for choice in AUTO_ORDER if kind in BACKENDS[choice].devices]
        if not fits:
            raise BackendError(f"backend auto has no device {device!r}", _devices_hint(kind))
    # Where a device is known only to backends that run networks, these have to say what they miss.
    return [choice for choice in fits if networks or BACKENDS[choice].needs == "onnx"] or fits


def _devices_hint(kind: str) -> str:
    others = [name for name, entry in BACKENDS.items() if kind in entry.devices]
    if others:
        return f"Name the backend: --backend {others[0]}"
    known = sorted({kind for name in AUTO_ORDER for kind in BACKENDS[name].devices})
    return f"Known devices: {', '.join(known)}."


def _refuse_device(name: str) -> None:
    """Raise an error if *name* is a device: it was given in the place of a backend."""
    kind, colon, _ = name.lower().partition(":")
    # A device alone belongs to whoever runs networks first: PyTorch's names of devices are the best known.
    able = sorted(
        (other for other, entry in BACKENDS.items() if kind in entry.devices),
        key=lambda other: BACKENDS[other].needs != "network",
    )
    if able and name.lower() not in BACKENDS:
        device = name.lower() if colon or kind == "cpu" else f"{kind}:0"
        commands = " or ".join(f"--backend {other} --device {device}" for other in able)
        raise UsageError(f"{name!r} is a device, not a backend", f"Give both: {commands}")
