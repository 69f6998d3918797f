"""Reading checkpoints: every wrapping that training code leaves around a state dict, and nothing that runs code."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UsageError, WeightsError
from ..lazy import import_torch

if TYPE_CHECKING:
    from torch import Tensor

    from ..spec import ModelSpec

_log = logging.getLogger(__name__)

PICKLED = (".pt", ".pth", ".bin", ".pkl", ".ckpt")
SUFFIXES = (*PICKLED, ".safetensors")

# Where training code puts a state dict: Megvii and many others, EasyCV / mmcv / Lightning, STAR.
_WRAPPERS = ("state_dict", "model", "net", "model_state_dict")
# What wrapping modules put before each key: DataParallel, torch.compile, averaging and Lightning.
_PREFIXES = ("module.", "_orig_mod.", "avg_model.", "model.")


@dataclass(frozen=True)
class Checkpoint:
    """A state dict and where it came from.

    Attributes:
        state: Tensors by key, without wrapping, prefixes and what only training needs.
        origin: The path, address or seed it came from.
        sha256: Of the file's bytes; of the tensors where there is no file.
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


def open_weights(
    spec: ModelSpec, weights: str | Path | None, *, offline: bool = False, cache_dir: Path | None = None
) -> Checkpoint:
    """Return the checkpoint that a ``--weights`` value names.

    Args:
        spec: The model, for its own hub address and its seeded weights.
        weights: A file, a folder, ``ms:ORG/MODEL[@REVISION]``, ``hf:ORG/MODEL[@REVISION]`` or ``seeded[:N]``; None for
            the model's own address.
        offline: Use what is in the cache and never the network.
        cache_dir: Where downloads are kept; None for the client library's own place.

    Raises:
        WeightsError: It cannot be found, downloaded or read.
        UsageError: A seed that is not a number.

    """
    source = str(weights) if weights is not None else spec.hub
    if source is None:
        raise WeightsError(f"{spec.name} has no known download address", "Give its file: --weights FILE")
    if source == "seeded" or source.startswith("seeded:"):
        return seeded_checkpoint(spec, source)
    if source.startswith(("ms:", "hf:")):
        from .hub import download

        path = download(source, offline=offline, cache_dir=cache_dir)
    else:
        path = Path(source).expanduser()
    checkpoint = _read(path, source)
    return replace(checkpoint, state=spec.inference_state(checkpoint.state))


def seeded_checkpoint(spec: ModelSpec, source: str) -> Checkpoint:
    """Return the untrained weights that ``seeded[:N]`` names."""
    digits = source.partition(":")[2] or "0"
    if not digits.isascii() or not digits.isdigit():
        raise UsageError(f"{source!r} is not a seed", "Give seeded or seeded:N with a whole number N.")
    seed = int(digits)
    state = spec.seeded(seed)
    return Checkpoint(state, f"seeded:{seed}", _digest(state), untrained=True)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(state: Mapping[str, np.ndarray[Any, Any]]) -> str:
    digest = hashlib.sha256()
    for key in sorted(state):
        value = np.ascontiguousarray(state[key])
        digest.update(f"{key} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _read(path: Path, origin: str) -> Checkpoint:
    config: dict[str, Any] = {}
    if path.is_dir():
        config = _folder_config(path)
        path = _weights_in(path)
    if not path.exists():
        hint = "Give an existing file or folder, ms:ORG/MODEL, hf:ORG/MODEL or seeded[:N]."
        raise WeightsError(f"no weights at {origin}", hint)
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(f"{path} is not a checkpoint by its name", f"Known endings: {' '.join(SUFFIXES)}")
    _log.info("reading %s", path)
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "Check the file and its permissions.") from error
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    state, wrapper, own_config = unwrap(content, path)
    return Checkpoint(state, origin, digest, wrapper, own_config or config)


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


def _folder_config(folder: Path) -> dict[str, Any]:
    """Return the configuration beside a checkpoint: Hugging Face's config.json, ModelScope's configuration.json.

    ModelScope's mirrors of Hugging Face's models hold both; the second then says little, and wins where both speak.
    """
    config: dict[str, Any] = {}
    for name in ("config.json", "configuration.json"):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {folder / name}: {error}", "Mend or remove that file.") from error
        config |= _plain(content) if isinstance(content, dict) else {}
    return config


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    import_torch()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
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
            raise WeightsError(
                f"{path} holds {blocked[1]}, which loading would have to execute; it was refused",
                "Save only the state dict: torch.save(model.state_dict(), FILE), or convert it to safetensors.",
            ) from error
        raise WeightsError(f"{path} is not a PyTorch checkpoint", "Check that the download is complete.") from error
    except Exception as error:  # torch.load has no error of its own: what it raises depends on where the damage is
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path} is not a PyTorch checkpoint: {reason}", "Check that the download is complete."
        ) from error


def _numpy_scalars() -> list[Any]:
    from numpy._core import multiarray

    # NumPy 1, with which most published checkpoints were saved, calls the module numpy.core.
    scalar = [(multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*scalar, np.dtype, *(type(np.dtype(name)) for name in ("f4", "f8", "i4", "i8", "?"))]


def unwrap(content: object, path: Path | str) -> tuple[dict[str, Tensor], str, dict[str, Any]]:
    """Find the state dict in what a checkpoint file holds.

    Args:
        content: The loaded file.
        path: For messages.

    Returns:
        The state dict without prefixes, the name of the entry that held it, and the checkpoint's own configuration
        (EasyCV's ``meta.config`` where it is JSON; its training files hold Python text there, which is left alone).

    Raises:
        WeightsError: There is no state dict in it.

    """
    torch = import_torch()
    wrapper = ""
    inner = content
    if isinstance(content, Mapping):
        wrapper = next((name for name in _WRAPPERS if isinstance(content.get(name), Mapping)), "")
        inner = content[wrapper] if wrapper else content
    if not isinstance(inner, Mapping):
        raise WeightsError(
            f"{path} holds a {type(inner).__name__}, not a state dict", "Save model.state_dict() instead."
        )
    state = {str(key): value for key, value in inner.items() if isinstance(value, torch.Tensor)}
    if not state:
        keys = ", ".join(map(str, list(inner)[:5])) or "nothing"
        raise WeightsError(f"{path} holds no tensors (it has: {keys})", f"Known wrappings: {', '.join(_WRAPPERS)}.")
    meta = content.get("meta") if isinstance(content, Mapping) else None
    config = _parse_config(meta.get("config")) if isinstance(meta, Mapping) else {}
    return _strip_prefixes(state), wrapper, config


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the prefixes of wrapping modules; an averaged copy of the network wins over the plain one beside it."""
    for prefix in _PREFIXES:
        stripped = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if stripped:
            return _strip_prefixes(stripped)
    return state


def _parse_config(config: object) -> dict[str, Any]:
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except ValueError:
            return {}
    return _plain(config) if isinstance(config, Mapping) else {}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Undo jsonplus, which writes a tuple as ``{"__class__": "tuple", "__value__": [...]}``."""
    if isinstance(value, Mapping):
        if "__value__" in value:
            return _plain(value["__value__"])
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
