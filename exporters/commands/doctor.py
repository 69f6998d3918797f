"""What the three legs need and have here, to be pasted into a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from ...runtimes.backends.registry import BACKENDS, unavailable_reason

# Builds of ONNX Runtime. All are imported as onnxruntime: the one that was installed last has its files there.
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-cann", "onnxruntime-directml")
_PACKAGES = {
    "cvport": "",
    "numpy": "",
    "opencv-python-headless": "",
    "pillow": "",
    **dict.fromkeys(_RUNTIMES, ""),
    "torch": "torch",
    "safetensors": "torch",
    "transformers": "torch",
    "torch_npu": "npu",
    "onnx": "export",
    "onnxscript": "export",
    "onnxsim": "export",
    "huggingface_hub": "hub",
    "modelscope": "hub",
}
_VARIABLES = (
    "ASCEND_HOME_PATH",
    "ASCEND_TOOLKIT_HOME",
    "ASCEND_RT_VISIBLE_DEVICES",
    "ASCEND_LAUNCH_BLOCKING",
    "TORCH_DEVICE_BACKEND_AUTOLOAD",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
)
# Where CANN's toolkit says what it is, below its home.
_CANN_FILES = ("version.cfg", "latest/version.cfg", "*-linux/ascend_toolkit_install.info", "version.info")


def examine() -> dict[str, Any]:
    """Return what is installed and what can run, as a JSON-able dictionary."""
    variables = {name: os.environ.get(name) for name in _VARIABLES}  # before anything sets one
    legs = {}
    for name, entry in BACKENDS.items():
        reason = unavailable_reason(name)
        cause, _, step = (reason or "").partition("\n")
        state = {"ready": True} if reason is None else {"ready": False, "cause": cause, "next": step}
        legs[name] = {"what": entry.summary, **state}
    legs["onnx"]["providers"] = _providers()
    if legs["npu"]["ready"]:
        legs["npu"]["devices"] = _devices()
    return {
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.platform()}, {os.cpu_count()} CPUs",
        "packages": {name: _version(name) for name in _PACKAGES},
        "legs": legs,
        "cann": _cann(),
        "variables": variables,
    }


def render(found: dict[str, Any]) -> str:
    """Return what `examine` found as text."""
    lines = [f"python     {found['python']}", f"system     {found['system']}", "", "packages"]
    builds = [name for name in _RUNTIMES if found["packages"][name]]
    for name, version in found["packages"].items():
        if version is None and name in _RUNTIMES and (builds or name != _RUNTIMES[0]):
            continue
        extra = _PACKAGES[name]
        missing = f"missing; pip install 'cvport[{extra}]'" if extra else "missing"
        lines.append(f"  {name:24} {version or missing}")
    if len(builds) > 1:
        lines.append(f"  {' and '.join(builds)} overwrite each other: which of them runs is not known")
        lines.append(f"  keep one: pip uninstall {' '.join(builds)}, then install that one again")
    lines += ["", "legs"]
    for name, leg in found["legs"].items():
        lines.append(f"  {name:6} {'ready' if leg['ready'] else 'not here: ' + leg['cause']}")
        lines += [f"         {leg['next']}"] if leg.get("next") else []
        if name == "onnx":
            lines.append(f"         providers of this build (whether they work only a run tells): {leg['providers']}")
        lines += [f"         {device}" for device in leg.get("devices", ())]
    lines += ["", f"CANN       {found['cann'] or 'not found'}", "variables"]
    lines += [f"  {name:30} {'(not set)' if value is None else value}" for name, value in found["variables"].items()]
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _providers() -> str:
    try:
        import onnxruntime
    except ImportError as error:
        return f"none: {error}"
    return ", ".join(onnxruntime.get_available_providers())


def _devices() -> list[str]:
    """Return a line a device; only called where the backend is ready."""
    import torch

    npu: Any = torch.npu  # type: ignore[attr-defined]
    return [f"npu:{index} {npu.get_device_name(index)}" for index in range(npu.device_count())]


def _cann() -> str | None:
    """Return CANN's version and place, by the files that it installs."""
    homes = [home for name in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME") if (home := os.environ.get(name))]
    for home in homes:
        for pattern in _CANN_FILES:
            for path in sorted(Path(home).glob(pattern)):
                version = _cann_version(path.read_text(encoding="utf-8", errors="replace"))
                if version:
                    return f"{version} ({path})"
    return f"of unknown version ({homes[0]})" if homes else None


def _cann_version(text: str) -> str | None:
    """Return the version of CANN that a file of it states, None if it states none.

    ``ascend_toolkit_install.info`` and ``version.info`` have ``version=8.0.RC3``. ``version.cfg`` has lines such as
    ``runtime_running_version=[7.5.0.1.129:8.0.RC3]``, the component's own version before that of CANN, and begins with
    the version of its format in a comment.
    """
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    values = {key.strip().lower(): value.strip() for key, _, value in pairs}
    keys = ["version", "toolkit_running_version", "runtime_running_version"]
    keys += [key for key in values if key.endswith(("_running_version", "_installed_version"))]
    stated = (values.get(key, "").strip("[]").rpartition(":")[2].strip().removeprefix("CANN-") for key in keys)
    return next((version for version in stated if version), None)
