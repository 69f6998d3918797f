"""A backend made from ONNX's own reference evaluator: one module, and one row in the table of backends.

    BACKENDS["reference"] = BackendEntry("helpers.reference_backend", "onnx", "ONNX's reference evaluator", ("cpu",))

It is slow and independent of every runtime.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cvport.models.spec import Signature
    from cvport.runtimes.backends.base import Array


def unavailable_reason(device: str | None = None) -> str | None:
    if device not in (None, "cpu"):
        return f"it has no device {device!r}\nKnown devices: cpu."
    if importlib.util.find_spec("onnx") is None:
        return "onnx is not installed\nInstall it: pip install onnx"
    return None


class ReferenceBackend:
    """Runs an exported file node by node in numpy."""

    name = "reference"
    parallel = False
    device = "cpu"
    precision = "fp32"

    def __init__(self, path: Path) -> None:
        from onnx.reference import ReferenceEvaluator

        self._evaluator: Any = ReferenceEvaluator(str(path))
        self.inputs = tuple(self._evaluator.input_names)
        self.outputs = tuple(self._evaluator.output_names)
        self.settings: dict[str, Any] = {}
        self.declared: dict[str, Any] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return dict(zip(self.outputs, self._evaluator.run(None, dict(inputs)), strict=True))

    def is_warm(self, inputs: Mapping[str, Array]) -> bool:
        return True

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        pass

    def close(self) -> None:
        self._evaluator = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_backend(
    runnable: Path, *, device: str | None, threads: int | None, precision: str | None, signature: Signature
) -> ReferenceBackend:
    return ReferenceBackend(runnable)
