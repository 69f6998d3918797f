"""Runs the commands in processes of their own, and ends some of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_CVRUN = "from cvport.runtimes.commands.cvrun import main; main()"
_CVEXPORT = "from cvport.exporters.commands.cvexport import main; main()"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def cvrun(*words: object) -> list[str]:
    return [sys.executable, "-c", _CVRUN, *map(str, words)]


def cvexport(*words: object) -> list[str]:
    return [sys.executable, "-c", _CVEXPORT, *map(str, words)]


def run(command: Sequence[str], **options: object) -> Ended:
    """Run a command to its end; it may not show a traceback."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    done = subprocess.run(command, env=environ, text=True, timeout=300, check=False, **streams)  # type: ignore[call-overload]
    out, err = done.stdout or "", done.stderr or ""
    assert "Traceback" not in out + err, err
    return Ended(done.returncode, out, err)


def kill_after(command: Sequence[str], seconds: float, cwd: Path) -> bool:
    """Start a command and kill it after a while; return whether it was killed before it had ended."""
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        end = time.monotonic() + seconds
        while child.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        child.kill()
        return child.wait() < 0


def without_times(text: str) -> str:
    return re.sub(r', "timing_ms": \{[^}]*\}(, "warmup": true)?', "", text)
