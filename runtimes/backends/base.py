"""The contract of a backend: what runs one network, whatever runs below it.

A backend is one module and one row of the table in `registry`. The module has two functions:

- ``unavailable_reason(device: str | None) -> str | None``: why the backend cannot run on that device here, or None if
  it can. The text is the cause and, after a newline, the next step.
- ``open_backend(runnable, *, device, threads, precision, signature) -> Backend``: opens the backend on an exported file
  (a `Path`) or on a network (a ``torch.nn.Module``), as its row says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ...errors import BackendError
from ...models.spec import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


# The signature of a network whose inputs and outputs nobody named.
UNNAMED = Signature((), ())


class Declared(NamedTuple):
    """What a file says about a tensor.

    Attributes:
        dtype: "float32", or the runtime's word for another type.
        shape: Its sides, None for one that is open.

    """

    dtype: str
    shape: tuple[int | None, ...]


class Backend(Protocol):
    """Runs one network: arrays in, arrays out. Knows no image, no box and no model."""

    @property
    def name(self) -> str:
        """The backend's name in the table."""

    @property
    def device(self) -> str:
        """The device that the network runs on, such as "cpu" or "npu:0"."""

    @property
    def precision(self) -> str:
        """How the network computes: "fp32", or one of the precisions of the backend's row."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The JSON-able settings that the numbers depend on; empty where there are none."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs: those of the file, or those that the backend was opened with."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs in order: those of the file, or those that the backend was opened with."""

    @property
    def parallel(self) -> bool:
        """Whether `run` may be called from several threads at once, and gains by it."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for float32 inputs by name; returns when they are on the host."""

    def is_warm(self, inputs: Mapping[str, Array]) -> bool:
        """Tell whether inputs of these shapes were run before, so that the next run is no slow first one."""

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Compile for inputs of these shapes, where the backend does that apart from a run; else do nothing."""

    def close(self) -> None:
        """Release the device's memory."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def shapes_of(inputs: Mapping[str, Array]) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of some inputs, by which backends remember what they have run."""
    return tuple(array.shape for array in inputs.values())


def unavailable(name: str, reason: str) -> BackendError:
    """Return the error of a backend that cannot run here.

    Args:
        name: The backend's name.
        reason: From ``unavailable_reason``: the cause and, after a newline, the next step.

    """
    cause, _, hint = reason.partition("\n")
    return BackendError(f"backend {name} is not available: {cause}", hint)


class FileBackend(Backend, Protocol):
    """A backend that runs a file, and knows what the file says about its tensors before it runs."""

    @property
    def declared(self) -> Mapping[str, Declared]:
        """Type and shape of the inputs and outputs, by name; empty where the runtime does not tell."""
