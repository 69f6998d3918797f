"""Digests of files that were computed before, in a small file of the user's cache."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_FILES = 512
_RECORD = 4
# A file that was just written may be written again without a change of its time, which moves in steps of the clock.
_SETTLED_SECONDS = 2.0


def cached_digest(path: Path, compute: Callable[[Path], str]) -> str:
    """Return the digest of a file, computed unless the cache has it for the same path, inode, size and time of change.

    Args:
        path: The file.
        compute: Computes its digest.

    """
    name, stamp = str(path.absolute()), _stamp(path)
    place = cache_file()
    known = {} if place is None else _read(place)
    if stamp is not None and known.get(name, [])[:-1] == stamp:
        return str(known[name][-1])
    digest = compute(path)
    if place is not None and stamp is not None and stamp == _stamp(path) and _settled(stamp):
        known.pop(name, None)  # the newest stand last
        known[name] = [*stamp, digest]
        _write(place, dict(list(known.items())[-_MOST_FILES:]))
    return digest


def cache_file() -> Path | None:
    """Return where the digests are kept: below ``XDG_CACHE_HOME``, else ``~/.cache``; None where there is no home."""
    folder = os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(folder) if folder and Path(folder).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return root / "cvport" / "digests.json"


def _stamp(path: Path) -> list[int] | None:
    """Return inode, size and time of change of a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _settled(stamp: list[int]) -> bool:
    return time.time() - stamp[-1] / 1e9 > _SETTLED_SECONDS


def _read(place: Path) -> dict[str, list[Any]]:
    """Return the kept digests; none where they cannot be read."""
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        return {
            name: record
            for name, record in content["files"].items()
            if isinstance(record, list) and len(record) == _RECORD and isinstance(record[-1], str)
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _write(place: Path, known: dict[str, list[Any]]) -> None:
    """Write the digests, whole or not at all; a cache that cannot be written is no error."""
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(json.dumps({"schema_version": 1, "files": known}), encoding="utf-8")
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
