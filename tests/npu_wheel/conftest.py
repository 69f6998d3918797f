"""The wheel, the stub, and processes that see them."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from npu_wheel.stub_cann import build

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# Seconds that a process may take; all of them take less than 30 on a busy machine.
_PATIENCE = 120
_ATTEMPTS = 4


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The folder that torch_npu is installed in, which no other test sees."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the stub of CANN is for Linux x86-64")
    if shutil.which("gcc") is None:
        pytest.skip("the stub of CANN is compiled with gcc, which is not here")
    folder = Path(os.environ.get("CVPORT_NPU_WHEEL", "nowhere")).absolute()
    if not (folder / "torch_npu").is_dir():
        pytest.skip("torch_npu is not installed for it: make test-npu-wheel does that where a package index has it")
    (found,) = importlib.metadata.distributions(name="torch-npu", path=[str(folder)])
    torch = importlib.metadata.version("torch").partition("+")[0]
    if found.version != torch:
        pytest.skip(f"torch_npu {found.version} is for another torch than {torch}")
    return folder


@pytest.fixture(scope="session")
def cann(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stub's libraries."""
    return build(tmp_path_factory.mktemp("stub") / "lib", wheel)


@pytest.fixture(scope="session")
def python(wheel: Path) -> Run:
    """``python("-c", code, cann=folder, devices=2)`` runs with the wheel installed; further keywords are variables."""

    def run(
        *arguments: object,
        cann: Path | None = None,
        devices: int = 1,
        before: Path | None = None,
        patience: float = _PATIENCE,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        unset = ("TORCH_DEVICE_BACKEND_AUTOLOAD", "LD_LIBRARY_PATH")
        inherited = {k: v for k, v in os.environ.items() if k not in unset and not k.startswith(("ASCEND_", "STUB_"))}
        folders = [before, wheel, inherited.get("PYTHONPATH")]
        environment = inherited | {
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders if folder),
            "STUB_CANN_DEVICES": str(devices),
            "OMP_NUM_THREADS": "1",
            **({"LD_LIBRARY_PATH": str(cann)} if cann else {}),
            **variables,
        }
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=patience)

    return run


@pytest.fixture(scope="session")
def device_run(python: Run, cann: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What `device` has seen, and what it said on stderr."""
    path = tmp_path_factory.mktemp("device") / "seen.json"
    done = python(Path(__file__).with_name("device.py"), path, *api_names(), cann=cann, devices=2)
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text()), done.stderr


@pytest.fixture(scope="session")
def faults(python: Run, cann: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `faults` has seen.

    torch_npu 2.13 at times never returns from the synchronisation that follows a failure on its own thread, in a wait
    of its own for a queue that nobody empties any more: then it is tried again in a new process.
    """
    for _ in range(_ATTEMPTS):
        path = tmp_path_factory.mktemp("faults") / "seen.json"
        with suppress(subprocess.TimeoutExpired):
            done = python(Path(__file__).with_name("faults.py"), path, cann=cann, devices=2, patience=_PATIENCE / 3)
            assert done.returncode == 0, done.stderr
            found: dict[str, Any] = json.loads(path.read_text())
            return found
    pytest.fail(f"torch_npu did not return in {_ATTEMPTS} processes")


@pytest.fixture(scope="session")
def seen(device_run: tuple[dict[str, Any], str]) -> dict[str, Any]:
    return device_run[0]


def api_names() -> list[str]:
    """Return the functions, classes and methods that the simulated torch.npu has."""
    from npu_sim import api

    own = {
        name: value
        for name, value in vars(api).items()
        if getattr(value, "__module__", None) == api.__name__ and callable(value) and not name.startswith("_")
    }
    methods = [
        f"{name}.{key}" for name, value in own.items() if inspect.isclass(value) for key in vars(value) if key[0] != "_"
    ]
    return [*own, *methods, "utils.get_cann_version"]
