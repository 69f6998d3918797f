"""Reads ``--weights`` values, and opens the file or folder, the model on a hub or the untrained weights they name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError, WeightsError
from ..registry import MODELS, get_model
from .checkpoint import Checkpoint, read_checkpoint
from .digest import sha256_tensors
from .hub import SITES, HubAddress, download

if TYPE_CHECKING:
    from ..spec import ModelSpec

_SEEDED = "seeded"
_SAMPLE = "sample"


@dataclass(frozen=True)
class LocalFile:
    """A checkpoint on this machine.

    Attributes:
        text: The path as it was given.

    """

    text: str

    @property
    def path(self) -> Path:
        """The file or folder, with ``~`` resolved; a home that is unknown stays as it is."""
        try:
            return Path(self.text).expanduser()
        except RuntimeError:
            return Path(self.text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Seeded:
    """Untrained weights of a seed."""

    seed: int = 0

    def __str__(self) -> str:
        return f"{_SEEDED}:{self.seed}"


@dataclass(frozen=True)
class Sample:
    """The trained weights that a model's package brings along."""

    def __str__(self) -> str:
        return _SAMPLE


Address = LocalFile | HubAddress | Seeded | Sample


def parse_address(text: str | Path) -> Address:
    """Return what a ``--weights`` value names; ``str()`` of it is the canonical form of the address.

    Args:
        text: ``seeded[:N]``, ``ms:ORG/MODEL[@REVISION]``, ``hf:ORG/MODEL[@REVISION]``, ``sample``, or a path. A file of
            such a name is given as ``./sample``; a `Path` always is a path.

    Raises:
        UsageError: The seed is not a number, or the hub's address is malformed.

    """
    if isinstance(text, Path):
        return LocalFile(str(text))
    scheme, colon, rest = text.partition(":")
    if scheme == _SEEDED and (colon or not rest):
        digits = rest or "0"
        if not digits.isascii() or not digits.isdigit():
            raise UsageError(f"{text!r} is not a seed", "Give seeded or seeded:N with a whole number N.")
        return Seeded(int(digits))
    if colon and scheme in SITES:
        return HubAddress.parse(text)
    return Sample() if text == _SAMPLE else LocalFile(text)


def open_weights(
    spec: ModelSpec, weights: str | Path | None, *, offline: bool = False, cache_dir: Path | None = None
) -> Checkpoint:
    """Return the checkpoint that a ``--weights`` value names.

    Args:
        spec: The model, for its own hub address and its untrained weights.
        weights: See `parse_address`; None for the model's own address.
        offline: Use what is in the cache and never the network.
        cache_dir: Where downloads are kept; None for the client library's own place.

    Raises:
        WeightsError: The weights cannot be found, downloaded or read.
        UsageError: The value is malformed.

    """
    if weights is None and spec.hub is None:
        raise WeightsError(f"{spec.name} has no known download address", "Give its file: --weights FILE")
    address = parse_address(weights if weights is not None else str(spec.hub))
    if isinstance(address, Seeded):
        return seeded_checkpoint(spec, address.seed)
    if isinstance(address, HubAddress):
        path = download(address, offline=offline, cache_dir=cache_dir)
    else:
        path = address.path if isinstance(address, LocalFile) else _packaged(spec)
    checkpoint = read_checkpoint(path, str(address))
    return replace(checkpoint, state=spec.inference_state(checkpoint.state))


def sample_folder(spec: ModelSpec) -> Path | None:
    """Return the folder ``sample`` of a model's package, with trained weights as a hub holds them, or None."""
    folder = Path(str(files(spec.package))) / _SAMPLE
    return folder if folder.is_dir() else None


def _packaged(spec: ModelSpec) -> Path:
    folder = sample_folder(spec)
    if folder is None:
        having = ", ".join(name for name in MODELS if sample_folder(get_model(name)))
        raise WeightsError(
            f"{spec.name} has no sample weights, {having} has",
            "Give a file: --weights FILE (untrained: --weights seeded)",
        )
    return folder


def seeded_checkpoint(spec: ModelSpec, seed: int) -> Checkpoint:
    """Return the untrained weights of a seed."""
    state = spec.seeded(seed)
    return Checkpoint(state, str(Seeded(seed)), sha256_tensors(state), untrained=True)
