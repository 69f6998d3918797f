"""Downloads from ModelScope and Hugging Face, each through its own client library and into its own cache."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import re
import socket
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import UsageError, WeightsError
from .checkpoint import SUFFIXES
from .digest import sha256_file
from .reach import unreachable_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_log = logging.getLogger(__name__)


class _Hub(NamedTuple):
    """A hub and its client library.

    Attributes:
        site: The hub's name.
        package: The client library, as it is installed.
        module: The module of the client library that has ``snapshot_download``.
        login: The command that logs in.
        loggers: Names of the client library's loggers.
        endpoints: Environment variables that move the client to another server; the first that is set counts.
        server: Address of the hub where no such variable is set.

    """

    site: str
    package: str
    module: str
    login: str
    loggers: tuple[str, ...]
    endpoints: tuple[str, ...]
    server: str


_HUBS = {
    "ms": _Hub(
        "ModelScope",
        "modelscope",
        "modelscope.hub.snapshot_download",
        "modelscope login",
        ("modelscope", "modelscope_hub"),
        ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"),
        "https://www.modelscope.cn",
    ),
    "hf": _Hub(
        "Hugging Face",
        "huggingface_hub",
        "huggingface_hub",
        "hf auth login",
        ("huggingface_hub",),
        ("HF_ENDPOINT",),
        "https://huggingface.co",
    ),
}
SITES = tuple(_HUBS)
_CONFIGS = ["*.json"]
_WEIGHTS = [f"*{suffix}" for suffix in SUFFIXES]
# What a hub's answer means; Hugging Face gives 401 for a missing model too, to whoever is not logged in.
_ANSWERS = {
    401: "it is private or gated, or has another name",
    403: "it is private or gated",
    404: "there is no such model or revision",
}
_CHECK_NETWORK = "Check the network and run again, use what is in the cache: --offline"
_OTHERWISE = "give a file: --weights FILE (untrained: --weights seeded)"


@dataclass(frozen=True)
class HubAddress:
    """A model on a hub, ``ms:ORG/MODEL[@REVISION]`` or ``hf:ORG/MODEL[@REVISION]``.

    Attributes:
        scheme: "ms" or "hf".
        name: ORG/MODEL.
        revision: "" where the address pins none.

    """

    scheme: str
    name: str
    revision: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that *text* writes.

        Raises:
            UsageError: The address is malformed.

        """
        scheme, _, rest = text.partition(":")
        name, at, revision = rest.partition("@")
        if scheme not in _HUBS or name.count("/") != 1 or not all(name.split("/")) or (at and not revision):
            raise UsageError(
                f"{text!r} is not a hub address", "Give ms:ORG/MODEL or hf:ORG/MODEL, with @REVISION to pin."
            )
        return cls(scheme, name, revision)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}" + (f"@{self.revision}" if self.revision else "")


def download(address: HubAddress, *, offline: bool = False, cache_dir: Path | None = None) -> Path:
    """Return the local folder of a published model, downloaded if it is not in the cache.

    An interrupted download is continued by the next one: ModelScope's client within a file, Hugging Face's with the
    first file that is not whole. While a client runs, what this process prints goes to the log, so that progress
    bars and notices never mix with a result.

    Args:
        address: The model.
        offline: Never use the network.
        cache_dir: Where to keep it; None for the client library's own cache.

    Raises:
        WeightsError: The client library is missing, the model cannot be had or holds no checkpoint, or a file is not
            the one that the hub records.

    """
    scheme, name, revision = address.scheme, address.name, address.revision
    hub = _HUBS[scheme]
    options: dict[str, Any] = {"local_files_only": offline}
    if revision:
        options["revision"] = revision
    if cache_dir is not None:
        options["cache_dir"] = str(cache_dir.expanduser())
    # ModelScope's client does not know afterwards whether a cached folder is whole. With the weights last, no folder
    # has weights without the configuration that belongs to them.
    rounds = [_CONFIGS, _WEIGHTS] if scheme == "ms" and not offline else [_CONFIGS + _WEIGHTS]
    client = _client(hub, scheme)
    if not offline:
        _check_reachable(address, hub)
    try:
        with _subdued(hub):
            for patterns in rounds:
                folder = Path(client.snapshot_download(name, allow_patterns=patterns, **options))
    except Exception as error:  # each library, and each transport below it, has exceptions of its own
        raise _failure(str(address), hub, error, offline) from error
    if scheme == "ms" and offline and revision:
        _check_revision(folder, revision)
    _check_complete(folder, str(address), offline)
    _check_digests(folder, str(address))
    _log.info("%s is in %s", address, folder)
    return folder


def _check_reachable(address: HubAddress, hub: _Hub) -> None:
    """Refuse at once where the hub's server cannot be reached; its client would try again for half a minute.

    Raises:
        WeightsError: No connection to the server can be made.

    """
    server = next((value for name in hub.endpoints if (value := os.environ.get(name, "").strip())), hub.server)
    reason = unreachable_reason(server if "://" in server else f"https://{server}")
    if reason is not None:
        raise WeightsError(f"cannot get {address}: {reason}", f"{_CHECK_NETWORK}, or {_OTHERWISE}")


def _client(hub: _Hub, scheme: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(hub.module)
    except ImportError as error:
        raise WeightsError(
            f"{hub.package} is not installed, which downloads {scheme}: addresses",
            f"Install it: pip install 'cvport[hub]', or {_OTHERWISE}",
        ) from error


class _Lines(io.TextIOBase):
    """Keeps the lines that are printed, without progress bars, which are redrawn by carriage returns."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        if text.strip() and not re.search(r"[\r\x1b]", text):
            self.lines.append(text.strip())
        return len(text)


@contextmanager
def _subdued(hub: _Hub) -> Iterator[None]:
    """Send what a client prints to the log, and give its own loggers the level of ours."""
    loggers = [logging.getLogger(name) for name in hub.loggers]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(_log.getEffectiveLevel())
    printed = _Lines()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for line in printed.lines:
            _log.info("%s", line)


def _failure(address: str, hub: _Hub, error: Exception, offline: bool) -> WeightsError:
    """Return a client's error as one of ours, with the next step for its cause."""
    # ModelScope's client tries every file, then says how many failed; the first of them says why.
    failed: dict[str, BaseException] = getattr(error, "failed_files", {})
    name, cause = next(iter(failed.items()), ("", error))
    status = _status(cause)
    text = str(cause).strip()
    reason = f"{name}: " * bool(name) + (_network_cause(cause) or (text.splitlines() or [type(cause).__name__])[0])
    if status in _ANSWERS:
        reason = f"{hub.site} answered {status}: {_ANSWERS[status]}"
        step = "Check the name and the revision"
        if status != 404:  # noqa: PLR2004
            step += f", ask for access on its page and log in: {hub.login}"
    elif isinstance(cause, OSError) and (cause.filename is not None or cause.errno == errno.ENOSPC):
        step = "Check that folder and the space in it, or name another: --cache-dir DIR"
    elif offline:
        step = "Run once without --offline"
    else:
        step = _CHECK_NETWORK
    return WeightsError(f"cannot get {address}: {reason}", f"{step}, or {_OTHERWISE}")


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error, or one that caused it, carries."""
    while error is not None:
        for holder in (error, getattr(error, "response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int):
                return status
        error = error.__cause__
    return None


def _network_cause(error: BaseException) -> str | None:
    """Return the system's words for a failed connection that an error comes from; None where it has another cause.

    Clients print the whole tower of libraries between themselves and the socket.
    """
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, ConnectionError | TimeoutError | socket.gaierror) and inner.strerror:
            return inner.strerror
        # urllib3 keeps the cause of its last try in an attribute, requests gives urllib3's error as an argument.
        nested = (getattr(inner, "reason", None), *inner.args, inner.__cause__, inner.__context__)
        inner = next((item for item in nested if isinstance(item, BaseException) and id(item) not in seen), None)
    return None


def _check_revision(folder: Path, revision: str) -> None:
    """Refuse the cache of an older ModelScope client, which has one folder for all revisions of a model."""
    if not folder.as_posix().endswith(f"/snapshots/{revision}"):
        raise WeightsError(
            f"the cache does not tell whether {folder} is revision {revision}",
            f"Run without --offline, or {_OTHERWISE}",
        )


def _check_complete(folder: Path, address: str, offline: bool) -> None:
    """Refuse a folder without a checkpoint, and one that an interrupted download left."""
    # Where nothing matches the patterns, Hugging Face's client makes no folder.
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    unfinished = [name for name in names if name.endswith(".incomplete")]
    if offline and unfinished:
        raise WeightsError(
            f"{address} was not downloaded completely: {folder / unfinished[0]}",
            f"Run once without --offline, or {_OTHERWISE}",
        )
    if not any(name.lower().endswith(SUFFIXES) for name in names):
        step = "Run once without --offline" if offline else "Check the address"
        raise WeightsError(f"{address} holds no checkpoint (in {folder})", f"{step}, or {_OTHERWISE}")


def _check_digests(folder: Path, address: str) -> None:
    """Compare files with the SHA-256 that the hub records.

    ModelScope's client does so itself. Hugging Face's compares sizes only, but names what it stores by the hub's
    SHA-256 of it (of large files; by git's SHA-1 of small ones) and links to that: where its cache has links, they
    are checked here.
    """
    for path in folder.iterdir():
        recorded = path.readlink().name if path.is_symlink() else ""
        if not re.fullmatch("[0-9a-f]{64}", recorded) or sha256_file(path) == recorded:
            continue
        with suppress(OSError):  # a cache that cannot be written is refused all the same
            (folder / path.readlink()).unlink()
            path.unlink()
        raise WeightsError(
            f"{path.name} of {address} is not the file that the hub records: its SHA-256 is not {recorded}",
            f"It was removed from the cache; run again to download it anew, or {_OTHERWISE}",
        )
