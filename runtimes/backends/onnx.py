"""ONNX Runtime. Needs nothing but the .onnx file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ...errors import ArtifactError, BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .registry import Array

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ONLY = 3


def why_not(device: str | None = None) -> str | None:
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


class OnnxBackend:
    """One ONNX Runtime session.

    Attributes:
        name: "onnx".
        device: "cpu" or "cuda:N".
        metadata: The custom metadata of the file.
        inputs: Names of its inputs.
        outputs: Names of its outputs.

    """

    name = "onnx"

    def __init__(self, path: Path, device: str | None = None, threads: int | None = None) -> None:
        """Open *path*.

        Raises:
            ArtifactError: The file is missing or is no ONNX model.
            BackendError: ONNX Runtime cannot use the device, or fell back to another one.

        """
        import onnxruntime

        if not path.is_file():
            raise ArtifactError(f"no such file: {path}", "Export it: cvexport MODEL")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        kind, _, index = (device or "cpu").partition(":")
        provider: Any = (_PROVIDERS[kind], {"device_id": index or "0"}) if kind == "cuda" else _PROVIDERS[kind]
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # onnxruntime's exceptions have no public base class
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if kind == "cuda" and "CUDA" in reason:
                raise BackendError(f"ONNX Runtime cannot use {device}: {reason}", "Use --device cpu.") from error
            raise ArtifactError(
                f"{path} is not a usable ONNX model: {reason}", "Export it again: cvexport MODEL"
            ) from error
        got = self._session.get_providers()[0]
        if got != _PROVIDERS[kind]:
            raise BackendError(f"ONNX Runtime runs on {got} instead of {_PROVIDERS[kind]}", "Check its GPU libraries.")
        self.device = f"cuda:{index or 0}" if kind == "cuda" else "cpu"
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.inputs = [entry.name for entry in self._session.get_inputs()]
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name.

        Raises:
            ArtifactError: The file does not take these inputs, or cannot be run.

        """
        run = self._session.run
        try:
            values = run(self.outputs, dict(inputs))
        except Exception as error:  # onnxruntime's exceptions have no public base class
            shapes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArtifactError(f"the file cannot be run on {shapes}: {reason}", "Export it again.") from error
        return dict(zip(self.outputs, values, strict=True))

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Do nothing: no run compiles."""

    def close(self) -> None:
        """Drop the session."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


open_backend = OnnxBackend
