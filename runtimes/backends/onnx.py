"""ONNX Runtime. Needs nothing but the .onnx file."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Self

from ...errors import ArtifactError, BackendError
from .base import Declared, shapes_of
from .providers import CPU, RECORD, check_used, resolve_providers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ...models.spec import Signature
    from .base import Array

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# What fails raises an exception that says the same.
_FATAL_ONLY = 4
# ONNX Runtime's words in core/graph/model.cc.
_TOO_NEW = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")


def unavailable_reason(device: str | None = None) -> str | None:
    """Return why this backend cannot run on *device* ("cpu", "cuda", "cuda:N"; None is "cpu"), or None if it can."""
    try:
        import onnxruntime
    except ImportError as error:
        return f"onnxruntime cannot be imported: {error}\nInstall it: pip install onnxruntime"
    kind, colon, index = (device or "cpu").partition(":")
    if kind not in _PROVIDERS or (colon and (kind == "cpu" or not index.isdecimal())):
        return f"it has no device {device!r}\nKnown devices: cpu, cuda, cuda:N."
    if _PROVIDERS[kind] not in onnxruntime.get_available_providers():
        return f"this onnxruntime was built without {_PROVIDERS[kind]}\nInstall onnxruntime-gpu, or use --device cpu."
    return None


# What ONNX Runtime's arenas say, and what C++ does.
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "out of memory")


class OnnxBackend:
    """One ONNX Runtime session.

    Attributes:
        name: "onnx".
        parallel: True: a session may be run from several threads.
        device: "cpu", "cuda:N", or the providers that were chosen.
        precision: "fp32".
        settings: Where providers were chosen: them, and how many operators run on which; ``optimised`` where it is not.
        inputs: Names of the file's inputs.
        outputs: Names of the file's outputs.
        declared: Type and shape of both, by name.

    """

    name = "onnx"
    parallel = True
    precision = "fp32"

    def __init__(
        self,
        path: Path,
        device: str | None = None,
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        *,
        optimised: bool = True,
    ) -> None:
        """Open *path*; with *providers* on those instead of the device's own, if not *optimised* as it is written.

        Raises:
            ArtifactError: The file is missing or is no ONNX model.
            BackendError: ONNX Runtime cannot use the device, or fell back to another one.

        """
        import onnxruntime

        if not path.is_file():
            raise ArtifactError(f"no such file: {path}", "Export it: cvexport MODEL")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        # Threads that wait for the next run in a busy loop take the cores from whatever comes between: another model of
        # a chain, preprocessing. Within a run they may.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if threads is not None:
            options.intra_op_num_threads = threads
        kind, _, index = (device or "cpu").partition(":")
        chosen: list[Any] = [(_PROVIDERS[kind], {"device_id": index or "0"}) if kind == "cuda" else _PROVIDERS[kind]]
        # Keeping where each operator runs takes a little longer.
        recorded = providers is not None or kind != "cpu" or logging.getLogger(__name__).isEnabledFor(logging.INFO)
        if recorded:
            options.add_session_config_entry(*RECORD)
        if providers is not None:
            chosen = list(resolve_providers(providers, onnxruntime.get_available_providers()))
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        except Exception as error:  # onnxruntime's exceptions have no public base class
            reason = _first_line(error)
            if kind == "cuda" and "CUDA" in reason:
                raise BackendError(f"ONNX Runtime cannot use {device}: {reason}", "Use --device cpu.") from error
            raise _unusable(path, reason) from error
        wanted = [_PROVIDERS[kind]] if providers is None else [name for name in chosen if name != CPU] or [CPU]
        placed = check_used(wanted, self._session, recorded=recorded)
        self.device = f"cuda:{index or 0}" if kind == "cuda" else "cpu"
        self.settings: dict[str, Any] = {} if optimised else {"optimised": False}
        if providers is not None:
            self.device = ",".join(dict.fromkeys(providers))
            self.settings |= {"providers": self._session.get_providers(), "placement": dict(placed)}
        entries = self._session.get_inputs(), self._session.get_outputs()
        self.inputs, self.outputs = (tuple(entry.name for entry in side) for side in entries)
        self.declared = {entry.name: _declared(entry) for side in entries for entry in side}
        self._ran: set[tuple[tuple[int, ...], ...]] = set()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name.

        Raises:
            ArtifactError: The file does not take these inputs, or cannot be run.
            MemoryError: There is not enough memory for them.

        """
        run = self._session.run
        try:
            values = run(self.outputs, dict(inputs))
        except Exception as error:  # onnxruntime's exceptions have no public base class
            if any(words in str(error) for words in _NO_MEMORY):
                raise MemoryError(_first_line(error)) from error
            shapes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            raise ArtifactError(
                f"the file cannot be run on {shapes}: {_first_line(error)}", "Export it again."
            ) from error
        self._ran.add(shapes_of(inputs))
        return dict(zip(self.outputs, values, strict=True))

    def is_warm(self, inputs: Mapping[str, Array]) -> bool:
        """Tell whether these shapes were run: ONNX Runtime plans its memory in the first run of a shape."""
        return shapes_of(inputs) in self._ran

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Do nothing: only a run plans the memory."""

    def close(self) -> None:
        """Drop the session."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_backend(
    runnable: Path,
    *,
    device: str | None,
    threads: int | None,
    precision: str | None,  # noqa: ARG001
    signature: Signature,  # noqa: ARG001
    providers: Sequence[str] | None = None,
    optimised: bool = True,
) -> OnnxBackend:
    """Open the backend on a file, which has its own signature; see `OnnxBackend`."""
    return OnnxBackend(runnable, device, threads, providers, optimised=optimised)


def _declared(entry: Any) -> Declared:  # noqa: ANN401
    """Return what the file says about an input or an output."""
    dtype = {"tensor(float)": "float32", "tensor(int64)": "int64"}.get(entry.type, str(entry.type))
    return Declared(dtype, tuple(side if isinstance(side, int) else None for side in entry.shape))


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _unusable(path: Path, reason: str) -> ArtifactError:
    """Return the error of a file that ONNX Runtime does not load."""
    too_new = _TOO_NEW.search(reason)
    if too_new is None:
        return ArtifactError(f"{path} is not a usable ONNX model: {reason}", "Export it again: cvexport MODEL")
    import onnxruntime

    return ArtifactError(
        f"{path} has ONNX IR version {too_new[1]}; onnxruntime {onnxruntime.__version__} reads up to {too_new[2]}",
        "Install a newer one: pip install --upgrade onnxruntime. Or export the model again: cvexport MODEL",
    )
