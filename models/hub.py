"""Downloads from ModelScope and Hugging Face, each through its own client library and into its own cache."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .errors import UsageError, WeightsError

_CLIENTS = {"ms": ("modelscope.hub.snapshot_download", "modelscope"), "hf": ("huggingface_hub", "huggingface_hub")}
_PATTERNS = ["*.safetensors", "*.pt", "*.pth", "*.bin", "*.pkl", "*.ckpt", "*.json"]


def download(address: str, *, offline: bool = False, cache_dir: Path | None = None) -> Path:
    """Return the local folder of a published model, downloaded if it is not in the cache.

    Args:
        address: ``ms:ORG/MODEL[@REVISION]`` or ``hf:ORG/MODEL[@REVISION]``.
        offline: Never use the network.
        cache_dir: Where to keep it; None for the client library's own cache.

    Raises:
        WeightsError: The client library is missing, or the model cannot be had.
        UsageError: The address is malformed.

    """
    scheme, _, rest = address.partition(":")
    name, at, revision = rest.partition("@")
    if scheme not in _CLIENTS or name.count("/") != 1 or not all(name.split("/")) or (at and not revision):
        raise UsageError(
            f"{address!r} is not a hub address", "Give ms:ORG/MODEL or hf:ORG/MODEL, with @REVISION to pin."
        )
    options: dict[str, Any] = {"allow_patterns": _PATTERNS, "local_files_only": offline}
    if revision:
        options["revision"] = revision
    if cache_dir is not None:
        options["cache_dir"] = str(cache_dir)
    try:
        return Path(_client(scheme).snapshot_download(name, **options))
    except WeightsError:
        raise
    except Exception as error:  # each library, and each transport below it, has exceptions of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if offline:
            hint = "Run once without --offline, or give a file: --weights FILE"
        else:
            hint = "Check the address and the network, or download it elsewhere and give the file: --weights FILE"
        raise WeightsError(f"cannot get {address}: {reason}", f"{hint} (untrained: --weights seeded)") from error


def _client(scheme: str) -> Any:  # noqa: ANN401
    module, package = _CLIENTS[scheme]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise WeightsError(
            f"{package} is not installed, which downloads {scheme}: addresses",
            "Install it: pip install 'cvport[hub]', or give a file: --weights FILE (untrained: --weights seeded)",
        ) from error
