"""Late imports: what is heavy is imported where it is first needed."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from ..errors import BackendError

if TYPE_CHECKING:
    from types import ModuleType


def resolve(target: str, package: str) -> Any:  # noqa: ANN401
    """Return the attribute that a ``"module:attribute"`` string names; the module is relative to *package*."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module, package), attribute)


def import_torch() -> ModuleType:
    """Import torch without its device plug-ins.

    A damaged vendor plug-in on the machine (torch_npu without CANN, say) makes a plain ``import torch`` fail even
    where only the CPU is wanted.

    Raises:
        BackendError: torch is not installed, or is damaged.

    """
    os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"PyTorch cannot be imported: {error}", "Install it: pip install 'cvport[torch]'") from error


def import_onnx() -> ModuleType:
    """Import the library that reads and writes graphs; running a file does not need it.

    Raises:
        BackendError: onnx is not installed, or is damaged.

    """
    try:
        return importlib.import_module("onnx")
    except (ImportError, OSError) as error:
        raise BackendError(f"onnx cannot be imported: {error}", "Install it: pip install 'cvport[export]'") from error
