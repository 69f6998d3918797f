"""File systems of our own: mounts that nobody else sees, and that end with the program that uses them."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence

import pytest

from faults.programs import Ended, run

_ALONE = ["unshare", "--user", "--map-root-user", "--mount"]


@functools.cache
def unavailable_reason() -> str | None:
    """Return why nothing can be mounted here; None where it can."""
    if shutil.which("unshare") is None:
        return "there is no unshare here, which mounts for one program alone"
    code = "mount -t tmpfs -o size=64k none /mnt"
    done = subprocess.run([*_ALONE, "sh", "-c", code], capture_output=True, text=True, check=False)
    return f"nothing can be mounted here: {done.stderr.strip()}" if done.returncode else None


def within(mounting: str, command: Sequence[str], after: str = "true", **options: object) -> Ended:
    """Run a command where a shell has mounted something; *after* is run by the shell then. Skips where it cannot."""
    reason = unavailable_reason()
    if reason is not None:
        pytest.skip(reason)
    script = f'{mounting} || exit 99; "$@"; code=$?; {after} || exit 98; exit $code'
    done = run([*_ALONE, "sh", "-c", script, "sh", *command], **options)
    assert done.code not in (98, 99), done.err
    return done
