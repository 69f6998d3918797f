"""What a measurement was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

from ..arrangement import available_cores, processor

_PACKAGES = ("cvport", "numpy", "opencv-python-headless", "onnxruntime", "torch", "torch_npu")


def machine() -> dict[str, Any]:
    """Return processor, cores, system and versions, and how busy the machine is (the load average of a minute)."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has had, in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
