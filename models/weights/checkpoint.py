"""Reads checkpoints: undoes every wrapping that training code leaves around a state dict, and runs no code."""

from __future__ import annotations

import itertools
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import WeightsError
from ..lazy import import_torch
from ..printable import printable
from ..regular import special_kind
from .archive import LONGEST, check_archive
from .config import folder_config, own_config
from .digest import sha256_file
from .pickled import check_nesting

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_log = logging.getLogger(__name__)

PICKLED = (".pt", ".pth", ".bin", ".pkl", ".ckpt")
SUFFIXES = (*PICKLED, ".safetensors")

# Keys under which training code stores a state dict: Megvii and many others, EasyCV / mmcv / Lightning, STAR.
_WRAPPERS = ("state_dict", "model", "net", "model_state_dict")
# Prefixes that wrapping modules put before each key: DataParallel, torch.compile, averaging and Lightning.
_PREFIXES = ("module.", "_orig_mod.", "avg_model.", "model.")
_MOST_PREFIXES = 16
_LONGEST_KEY = 500
# Tied weights stand in a file once and in its state dict several times; more than that is no network.
_MOST_EXPANDED = 16
_ALWAYS_FINE = 64 << 20
_AGAIN = "Save the network's own state dict again: torch.save(model.state_dict(), FILE)"


@dataclass(frozen=True)
class Checkpoint:
    """A state dict and where it came from.

    Attributes:
        state: Tensors by key, without wrapping, prefixes and what only training needs.
        origin: The path, address or seed it came from.
        sha256: Digest of the file's bytes; of the tensors where there is no file.
        wrapper: The entry of the file that held the state dict, "" where it was bare.
        config: The checkpoint's own configuration where it brings one, else empty.
        untrained: Whether the weights are made up.

    """

    state: Mapping[str, Tensor | np.ndarray[Any, Any]]
    origin: str
    sha256: str
    wrapper: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    untrained: bool = False


def find_checkpoint(path: Path, origin: str) -> Path:
    """Return the checkpoint file at *path*: the path itself, or the one checkpoint of a folder.

    Args:
        path: A file or folder.
        origin: The value that named the path, for messages.

    Raises:
        WeightsError: Nothing is there, no file, or no checkpoint by its name.

    """
    file = _weights_in(path) if path.is_dir() else path
    if not file.exists():
        raise WeightsError(
            f"no weights at {origin}",
            "Give an existing file or folder, ms:ORG/MODEL, hf:ORG/MODEL, sample or seeded[:N].",
        )
    if (kind := special_kind(file)) is not None:
        raise WeightsError(f"{file} is {kind}, not a file", "Give a file, or save to one what it gives.")
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        raise WeightsError(
            f"{file} is an exported file, which holds no trainable weights",
            f"Run it: cvrun -m {file} SOURCE. --weights takes a checkpoint of PyTorch ({' '.join(SUFFIXES)}).",
        )
    if suffix not in SUFFIXES:
        raise WeightsError(f"{file} is not a checkpoint by its name", f"Known endings: {' '.join(SUFFIXES)}")
    return file


def read_checkpoint(path: Path, origin: str) -> Checkpoint:
    """Read a checkpoint without executing anything in it.

    Args:
        path: A file or folder.
        origin: The path, address or seed that the checkpoint is known by.

    Raises:
        WeightsError: Nothing is there, or it cannot be read.

    """
    config = folder_config(path) if path.is_dir() else {}
    path = find_checkpoint(path, origin)
    _log.info("reading %s", path)
    safe = path.suffix.lower() == ".safetensors"
    try:
        digest = sha256_file(path)
        stored = path.stat().st_size if safe else check_archive(path)
        if not safe:
            check_nesting(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "Check the file and its permissions.") from error
    content = _read_safetensors(path) if safe else _read_pickle(path)
    state, wrapper, own = unwrap(content, path)
    _check_expanded(state, stored, path)
    return Checkpoint(state, origin, digest, wrapper, own or config)


def _weights_in(folder: Path) -> Path:
    """Return the one checkpoint of a model folder, preferring what holds no pickle."""
    names = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin", "pytorch_model.pt")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        what = "no checkpoint" if not found else f"{len(found)} checkpoints ({', '.join(p.name for p in found[:5])})"
        raise WeightsError(f"{folder} holds {what}", "Name the file itself.")
    return found[0]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    import_torch()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, LookupError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is not a safetensors file: {error}", "Download or save it again; it may be cut short."
        ) from error


def _read_pickle(path: Path) -> object:
    torch = import_torch()
    try:
        # Training code stores metrics as numpy scalars; these types hold data and run nothing.
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        blocked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if blocked:
            whole = "a whole model object of the class " if _holds_module(path) else ""
            raise WeightsError(
                f"{path} holds {whole}{blocked[1]}, which loading would have to execute; it was refused",
                "Where the model's code is, save the tensors alone: torch.save(model.state_dict(), FILE)",
            ) from error
        raise WeightsError(f"{path} is not a PyTorch checkpoint", "Check that the download is complete.") from error
    except Exception as error:  # torch.load has no error of its own: what it raises depends on where the damage is
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path} is not a PyTorch checkpoint: {reason}", "Check that the download is complete."
        ) from error


def _holds_module(path: Path) -> bool:
    """Return whether a pickle that was refused holds a torch module: it names the tables that every module has."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
    except zipfile.BadZipFile:  # damaged, or of before PyTorch 1.6
        pickles = [path.read_bytes()]
    return any(b"_parameters" in content and b"_modules" in content for content in pickles)


def _numpy_scalars() -> list[Any]:
    from numpy._core import multiarray

    # NumPy 1, with which most published checkpoints were saved, calls the module numpy.core.
    scalar = [(multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*scalar, np.dtype, *(type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8", "?"))]


def unwrap(content: object, path: Path | str) -> tuple[dict[str, Tensor], str, dict[str, Any]]:
    """Find the state dict in what a checkpoint file holds.

    Args:
        content: The loaded file.
        path: Path of the file, for messages.

    Returns:
        The state dict without prefixes, the name of the entry that held it, and the checkpoint's own configuration
        (EasyCV's ``meta.config`` where it is JSON; its training files hold Python text there, which is left alone).

    Raises:
        WeightsError: There is no state dict in it, or one with keys or tensors that no network has.

    """
    wrapper = ""
    inner = content
    if isinstance(content, Mapping):
        wrapper = next((name for name in _WRAPPERS if isinstance(content.get(name), Mapping)), "")
        inner = content[wrapper] if wrapper else content
    if not isinstance(inner, Mapping):
        raise WeightsError(
            f"{path} holds a {type(inner).__name__}, not a state dict", "Save model.state_dict() instead."
        )
    state = _checked_tensors(inner, path)
    if not state:
        keys = ", ".join(_shown(key) for key in itertools.islice(inner, 5)) or "nothing"
        raise WeightsError(f"{path} holds no tensors (it has: {keys})", f"Known wrappings: {', '.join(_WRAPPERS)}.")
    meta = content.get("meta") if isinstance(content, Mapping) else None
    config = own_config(meta.get("config"), path) if isinstance(meta, Mapping) else {}
    return _strip_prefixes(state, path), wrapper, config


def _shown(key: object) -> str:
    """Return a key for a message; a key that is a container may be of any size."""
    return printable(str(key), LONGEST) if isinstance(key, str | int | float) else f"a {type(key).__name__}"


def _checked_tensors(inner: Mapping[Any, Any], path: Path | str) -> dict[str, Tensor]:
    """Return the tensors of a state dict by key.

    Raises:
        WeightsError: A key is no plain text, or a tensor has no values that could be copied one by one.

    """
    torch = import_torch()
    state = {}
    for key, value in inner.items():
        if not isinstance(value, torch.Tensor):
            continue
        if not isinstance(key, str):
            raise WeightsError(
                f"{path} has a tensor under a key that is no text but of type {type(key).__name__}", _AGAIN
            )
        if not key.isprintable() or len(key) > _LONGEST_KEY:
            raise WeightsError(f"{path} has a tensor under the key '{_shown(key)}', which no network has", _AGAIN)
        if kind := _without_values(value):
            raise WeightsError(f"{path}: {_shown(key)} is a {kind} tensor, which is not supported", _AGAIN)
        state[key] = value
    return state


def _without_values(value: Tensor) -> str:
    """Return what kind of tensor has no plain numbers in memory, else an empty string."""
    if value.is_meta:
        return "meta"
    if value.is_quantized:
        return "quantised"
    if value.is_nested or str(value.layout) != "torch.strided":
        return "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
    return "" if value.device.type == "cpu" else value.device.type


def _check_expanded(state: Mapping[str, Tensor], stored: int, path: Path) -> None:
    """Refuse tensors whose strides make much of little: a copy of them would take memory without end."""
    size = sum(value.numel() * value.element_size() for value in state.values())
    if size > _ALWAYS_FINE + _MOST_EXPANDED * stored:
        raise WeightsError(f"{path} holds {stored:,} bytes, and its tensors claim to have {size:,}", _AGAIN)


def _strip_prefixes(state: dict[str, Tensor], path: Path | str) -> dict[str, Tensor]:
    """Drop the prefixes of wrapping modules; an averaged copy of the network wins over the plain one beside it."""
    for _ in range(_MOST_PREFIXES):
        prefix = next((prefix for prefix in _PREFIXES if any(key.startswith(prefix) for key in state)), None)
        if prefix is None:
            return state
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    raise WeightsError(f"{path}: {_shown(next(iter(state)))} is wrapped over {_MOST_PREFIXES} times", _AGAIN)
