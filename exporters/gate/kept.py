"""What the gate computed before for the same weights, in the user's cache: it takes long, and comes out the same."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ...models.lazy import import_torch
from ...runtimes.digests import cache_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from ...runtimes.backends.base import Array

_MOST_FILES = 64


def network_key(network: nn.Module) -> str:
    """Return a name for a network: of its structure, its weights and the version of PyTorch."""
    torch = import_torch()
    digest = hashlib.sha256(f"{torch.__version__} {network}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


def key_of(*parts: str, arrays: Iterable[Array] = ()) -> str:
    """Return a name for a computation: of words and arrays that decide what comes out."""
    digest = hashlib.sha256("\n".join(parts).encode())
    for value in arrays:
        digest.update(f"{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def read(name: str) -> bytes | None:
    """Return what was kept under a name; None where nothing was."""
    place = _place(name)
    if place is None:
        return None
    with suppress(OSError):
        content = place.read_bytes()
        place.touch()  # the oldest are those that nobody asked for
        return content
    return None


def write(name: str, content: bytes) -> None:
    """Keep something, whole or not at all, and remove the oldest; a cache that cannot be written is no error."""
    place = _place(name)
    if place is None:
        return
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
        kept = sorted((path for path in place.parent.iterdir() if path.name[0] != "."), key=_age)
        for old in kept[:-_MOST_FILES]:
            old.unlink(missing_ok=True)


def _place(name: str) -> Path | None:
    digests = cache_file()
    return None if digests is None else digests.parent / "gate" / name


def _age(path: Path) -> float:
    return path.stat().st_mtime
