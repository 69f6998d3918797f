"""Source distribution and wheel, built from a copy of the checkout; environments that have them installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What would change what another interpreter finds, or what the packages of these tests are.
_OWN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PYTEST_ADDOPTS")
# Timestamps in archives (reproducible-builds.org): builds of the same files are the same bytes.
_EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
_BUILD = "import os, sys; os.chdir(sys.argv[1]); from setuptools import build_meta as b; print(b.build_{}('out'))"


def checkout_files() -> list[str]:
    """Return the files of the checkout that git does not ignore."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("git tells which files belong to the checkout, and this is not one")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).exists()]


def copy_checkout(folder: Path, left: Iterable[str] = ()) -> Path:
    """Copy the files of the checkout, and add files as work leaves them behind."""
    for name in checkout_files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, path, follow_symlinks=False)
    for name in left:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind")
    return folder


def build(source: Path, kind: str) -> Path:
    """Build the "sdist" or the "wheel" of a folder of sources with this environment's setuptools; return the file."""
    command = [sys.executable, "-c", _BUILD.format(kind), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_EPOCH})
    assert done.returncode == 0, done.stderr
    return source / "out" / done.stdout.splitlines()[-1]


class Environment:
    """A virtual environment of its own.

    Args:
        folder: Where it is made.
        python: The interpreter.
        packages: What pip installs: names, files, options.

    """

    def __init__(self, folder: Path, python: str, packages: Iterable[object]) -> None:
        self.folder = folder
        subprocess.run([python, "-m", "venv", str(folder)], check=True, env=self._variables())
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *map(str, packages)]
        done = self.run("python", *install, cwd=folder)
        assert done.returncode == 0, done.stderr

    def run(self, command: str, *args: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands from a folder; nothing of the running environment is seen."""
        place = self.folder / ("Scripts" if sys.platform == "win32" else "bin") / command
        env = {**self._variables(), **variables}
        full = [str(place), *map(str, args)]
        return subprocess.run(full, capture_output=True, text=True, check=False, cwd=cwd, env=env)

    def _variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _OWN}
        return {**kept, "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def has_python(command: str) -> bool:
    """Tell whether an interpreter is here, and starts."""
    place = shutil.which(command)
    if place is None:
        return False
    return subprocess.run([place, "-c", "import venv"], capture_output=True, check=False).returncode == 0
