"""PyTorch in inference mode, on the CPU or a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import BackendError
from ...models.lazy import import_torch
from .base import UNNAMED, shapes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from ...models.spec import Signature
    from .base import Array


def unavailable_reason(device: str | None = None) -> str | None:
    """Return why this backend cannot run on *device* ("cpu", "cuda", "cuda:N"; None is "cpu"), or None if it can."""
    try:
        torch = import_torch()
    except BackendError as error:
        return str(error)
    kind, colon, index = (device or "cpu").partition(":")
    if kind == "cpu" and not colon:
        return None
    if kind != "cuda" or (colon and not index.isdecimal()):
        return f"it has no device {device!r}\nKnown devices: cpu, cuda, cuda:N."
    if not torch.cuda.is_available():
        return "there is no CUDA device, or this PyTorch was built without CUDA\nUse --device cpu."
    if int(index or 0) >= torch.cuda.device_count():
        return f"there is no {device}: {torch.cuda.device_count()} CUDA devices\nUse cuda:0."
    return None


class TorchBackend:
    """One network on one device.

    Attributes:
        name: "torch".
        parallel: False: one run takes all cores.
        device: "cpu" or "cuda:N".
        precision: "fp32".
        settings: Empty.
        inputs: Names of the inputs, as they were given.
        outputs: Names of the outputs, as they were given.

    """

    name = "torch"
    parallel = False
    precision = "fp32"

    def __init__(
        self,
        network: nn.Module,
        device: str | None = None,
        threads: int | None = None,
        *,
        signature: Signature = UNNAMED,
    ) -> None:
        """Move a network to a device.

        Args:
            network: Maps one (N, 3, H, W) float32 tensor to a dict of tensors by name.
            device: "cpu", "cuda" or "cuda:N"; None is "cpu".
            threads: CPU threads of the process; None leaves them.
            signature: Names of the network's inputs and outputs.

        """
        torch = import_torch()
        self._torch = torch
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device(device or "cpu")
        if self._device.type == "cuda":
            self._device = torch.device("cuda", self._device.index or 0)
            # TF32 keeps 10 mantissa bits: too few for a backend that is compared with others.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        self.device = str(self._device)
        self.inputs, self.outputs = signature
        self.settings: dict[str, Any] = {}
        self._network: Any = network.to(self._device)
        self._ran: set[tuple[tuple[int, ...], ...]] = set()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name."""
        torch = self._torch
        (array,) = inputs.values()
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(np.ascontiguousarray(array)).to(self._device))
            found = {name: value.cpu().numpy() for name, value in outputs.items()}
        self._ran.add(shapes_of(inputs))
        return found

    def is_warm(self, inputs: Mapping[str, Array]) -> bool:
        """Tell whether this shape was run: PyTorch prepares its kernels in the first run of a shape."""
        return shapes_of(inputs) in self._ran

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Do nothing: only a run prepares the kernels."""

    def close(self) -> None:
        """Drop the network."""
        self._network = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_backend(
    runnable: nn.Module,
    *,
    device: str | None,
    threads: int | None,
    precision: str | None,  # noqa: ARG001
    signature: Signature,
) -> TorchBackend:
    """Open the backend on a network; see `TorchBackend`."""
    return TorchBackend(runnable, device, threads, signature=signature)
