"""Private folders of running exports: their names tell whose they are, and what nobody owns any more is removed."""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform != "win32":
    import fcntl

_ABANDONED_AFTER_S = 24 * 3600.0


def private(folder: Path, name: str) -> Path:
    """Return a place in *folder* that no other export uses, and that tells whose it is."""
    return folder / f"{name}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"


def sweep(folder: Path) -> None:
    """Remove the private folders of exports that no longer run, of other machines after a day.

    One that an export holds is never removed: its age is nothing to go by where the clock was set.
    """
    for path in folder.iterdir():
        with suppress(OSError):
            owner = re.search(rf"-{_host()}-(\d+)-[0-9a-f]{{8}}", path.name)
            old = time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_S
            if (old or (owner and not _runs(int(owner[1])))) and not _is_held(path):
                path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder; others wait. The system lets it go when the process ends in any way."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_held(folder: Path) -> bool:
    """Tell whether somebody has locked a folder; where there are no locks, that nobody has."""
    if sys.platform == "win32" or folder.is_symlink():
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _host() -> str:
    """Return the machine's name: a process number means nothing on another machine that shares the folder."""
    return re.sub(r"[^A-Za-z0-9]+", "_", platform.node()) or "unknown"


def _runs(pid: int) -> bool:
    """Tell whether a process of this machine runs; where that cannot be asked, that it does."""
    if sys.platform == "win32":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
