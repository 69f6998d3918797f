"""Where artifacts land: staged beside their target, swapped in whole, never half-written.

    output/<name>                       symlink to the published generation: what readers open
    output/.store/<name>-<digest>/      the generations, addressed by the digest of their SHA256SUMS
    output/.staging/<name>-<host>-<pid>-.../   private folders of running exports
    output/rejected/<name>-<UTC time>/  what did not pass

A folder is written, hashed and flushed to the disk under ``.staging``, renamed into ``.store``, and only then is
``output/<name>`` replaced by a fresh symlink, in one atomic step. So a reader finds the old artifact or the new one,
also after a kill or a power cut. A reader that wants several files of one generation resolves the link once; the
previous generation stays for it.

Where ``output/<name>`` is a plain folder (somebody's copy, or a system without symlinks) the swap takes two renames.
A kill exactly between them leaves no ``output/<name>``; old and new then both lie whole in ``.store``.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArtifactError
from ..models.weights.digest import sha256_file
from .staging import locked, private, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUMS_NAME = "SHA256SUMS"
# Made over the sums, so they cannot list it.
SIGNATURE_NAME = "SHA256SUMS.sig"

_STORE, _STAGING, _REJECTED = ".store", ".staging", "rejected"
_DIGEST_CHARS = 16
_PROBE_BYTES = 4096
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Errors of writing to an open file, which name none. What is read is explained where it is read.
_WRITING = (*_FULL, errno.EFBIG, errno.EIO, errno.EROFS)
_AGAIN = "Move away what does not belong there, or export it again with cvexport."
# A line as sha256sum writes it, and how much of another is shown.
_SUM = re.compile(r"([0-9a-f]{64})  (.+)")
_SHOWN = 80

_log = logging.getLogger(__name__)


@contextmanager
def stage(output: Path, name: str) -> Iterator[Path]:
    """Make a private folder inside *output*, to be filled and then published or rejected.

    The folder is removed at the end of the block if it is still there. That *output* can be written to is tried here,
    before the work that follows; what killed exports left behind is removed.

    Args:
        output: The folder of all artifacts; made if missing.
        name: The artifact's name.

    Raises:
        ArtifactError: *output* cannot be written to, here or, on a full disk, later in the block.

    """
    staging = private(output / _STAGING, name)
    with _explained(output):
        staging.parent.mkdir(parents=True, exist_ok=True)
        sweep(staging.parent)
        staging.mkdir()
    try:
        with _explained(output):
            _probe(output, staging)
        try:
            with locked(staging):
                yield staging
        except OSError as error:
            if _is_about(error, output):
                raise _cannot_write(output, error) from error
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, output: Path, name: str, over: Path | None = None) -> Path:
    """Make the folder *staging* the published artifact *name*.

    Whatever was published before stays readable until the new one takes its place, and one generation longer.

    Args:
        staging: A folder from `stage`; it is used up.
        output: The folder of all artifacts.
        name: The artifact's name.
        over: The generation that it may take the place of; None for any.

    Returns:
        ``output/name``.

    Raises:
        ArtifactError: *output* cannot be written to, or another generation than *over* is published. The published
            artifact is as before; only where the last flush to the disk failed it is the new one.

    """
    target, store = output / name, output / _STORE
    with _explained(output):
        store.mkdir(exist_ok=True)
        with locked(store):
            if over is not None and target.resolve() != over:
                raise ArtifactError(f"{target} was published anew in the meantime", "Run the command again.")
            generation = store / f"{name}-{_write_sums(staging)[:_DIGEST_CHARS]}"
            if not target.is_symlink() and _same(target, staging):
                return target  # published here before, where there are no symlinks
            fresh = not _is_whole(generation)
            if fresh:
                # One of that name would have been altered in place; readers are led past it, and it is pruned later.
                generation = _free(generation)
                staging.rename(generation)
                _sync(store)
            try:
                previous = _swap(generation, target, staging.with_name(f"{staging.name}-link"))
            except BaseException:
                if fresh and generation.exists() and target.resolve() != generation.resolve():
                    generation.rename(staging)  # the caller's cleanup finds it there
                raise
            _sync(output)
            if previous != generation.name:
                _prune(store, name, {generation.name, previous}, output / _STAGING)
    return target


def replace_files(output: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Publish a new generation of *name* in which only *files* differ; all others are carried over byte for byte.

    Args:
        output: The folder of all artifacts.
        name: A published artifact.
        files: Contents by name.

    Returns:
        ``output/name``.

    Raises:
        ArtifactError: There is no such artifact, it is damaged (its fresh sums would hide that), another one was
            published in the meantime, or *output* cannot be written to.

    """
    with _explained(output):
        source = (output / name).resolve()
    verify_sums(source)
    with stage(output, name) as staging:
        for relative in _listed(source):
            (staging / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / relative, staging / relative)
        for relative, data in files.items():
            (staging / relative).write_bytes(data)
        return publish(staging, output, name, over=source)


def reject(staging: Path, output: Path, name: str, now: datetime | None = None) -> Path:
    """Put the folder *staging* under ``output/rejected`` and return its place; what is published is not touched.

    Raises:
        ArtifactError: *output* cannot be written to.

    """
    with _explained(output):
        _write_sums(staging)
        rejected = output / _REJECTED
        rejected.mkdir(exist_ok=True)
        place = _free(rejected / f"{name}-{_stamp(now)}")
        staging.rename(place)
        _sync(rejected)
    return place


def verify_sums(folder: Path) -> None:
    """Check that ``SHA256SUMS`` of *folder* lists every file below it and nothing else, each with its sum.

    Raises:
        ArtifactError: Files are missing, altered or not listed, and named, a name leads out of the folder, or there are
            no sums to check against.

    """
    folder = folder.resolve()  # the link may be swapped at any moment; resolved once, all files are of one generation
    try:
        lines = (folder / SUMS_NAME).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{folder} is no whole artifact: {SUMS_NAME} cannot be read", _AGAIN) from error
    try:
        names = _names(folder)
    except OSError as error:
        raise ArtifactError(f"{folder} is no whole artifact: it cannot be listed: {error.strerror}", _AGAIN) from error
    listed: set[str] = set()
    damage = [problem for line in lines for problem in _check_line(folder, line, listed)]
    damage += [f"not listed: {name}" for name in names if name not in listed]
    if damage or not lines:
        raise ArtifactError(f"the artifact in {folder} is damaged: {'; '.join(damage) or 'no sums'}", _AGAIN)


def _check_line(folder: Path, line: str, listed: set[str]) -> Iterator[str]:
    """Yield what is wrong with a line of sums, and remember the name that it lists."""
    match = _SUM.fullmatch(line)
    if match is None:
        yield f"{line[:_SHOWN]!r} is no sum"
        return
    digest, relative = match.groups()
    path = folder / relative
    try:
        if relative in listed:
            yield f"listed twice: {relative}"
        elif not _lies_within(relative):
            yield f"{relative!r} leads out of the folder"
        elif path.is_symlink() or not path.is_file():
            yield f"missing {relative}"
        elif sha256_file(path) != digest:
            yield f"altered {relative}"
    except OSError as error:
        yield f"cannot read {relative}: {error.strerror}"
    listed.add(relative)


def _lies_within(relative: str) -> bool:
    """Tell whether a name is that of a file below a folder: neither absolute nor with a way up, on any system."""
    parts = re.split(r"[/\\]", relative)
    return all(part not in ("", ".", "..") for part in parts) and ":" not in relative


def _names(folder: Path) -> list[str]:
    """List the files below *folder* but the sums, sorted, with forward slashes."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(name for name in names if name not in (SUMS_NAME, SIGNATURE_NAME))


def _listed(folder: Path) -> list[str]:
    lines = (folder / SUMS_NAME).read_text(encoding="utf-8").splitlines()
    return [line.partition("  ")[2] for line in lines]


def _write_sums(folder: Path) -> str:
    """Write the sums of *folder* as sha256sum does, flush it all to the disk, and return the digest of the sums."""
    lines = [f"{sha256_file(folder / name)}  {name}\n" for name in _names(folder)]
    (folder / SUMS_NAME).write_bytes("".join(lines).encode())  # sha256sum reads no other ends of lines than "\n"
    for path in (*folder.rglob("*"), folder):
        _sync(path)
    return sha256_file(folder / SUMS_NAME)


def _same(folder: Path, other: Path) -> bool:
    """Tell whether two sealed folders hold the same, and the first is undamaged."""
    return _is_whole(folder) and sha256_file(folder / SUMS_NAME) == sha256_file(other / SUMS_NAME)


def _is_whole(folder: Path) -> bool:
    try:
        verify_sums(folder)
    except ArtifactError:
        return False
    return True


def _swap(generation: Path, target: Path, link: Path) -> str:
    """Make *target* lead to *generation*; return the name of the generation it led to."""
    incoming = link if _make_link(link, generation.relative_to(target.parent)) else generation
    try:
        if target.is_symlink():
            previous = target.readlink().name
            if incoming is generation:  # there were symlinks, and now there are none
                target.unlink()
            incoming.replace(target)
            return previous
        return _exchange(incoming, target, generation.parent)
    finally:
        link.unlink(missing_ok=True)


def _make_link(link: Path, leads_to: Path) -> bool:
    """Make a symlink and return whether that is possible here."""
    if sys.platform == "win32":  # cannot replace a link to a folder in one step, so nothing is gained by one
        return False
    try:
        link.symlink_to(leads_to)
    except NotImplementedError:
        return False
    except OSError as error:
        if error.errno in _FULL:
            raise
        return False
    return True


def _exchange(incoming: Path, target: Path, store: Path) -> str:
    """Move *target*, if there is one, into the store and *incoming* to its place; return its name there."""
    if not os.path.lexists(target):
        incoming.rename(target)
        return ""
    if not incoming.is_symlink() and _is_whole(target) and _names(target) == _listed(target):
        # A generation of ours: without symlinks they are published as plain folders.
        aside = store / f"{target.name}-{sha256_file(target / SUMS_NAME)[:_DIGEST_CHARS]}"
    else:
        aside = store / f"{target.name}-kept-{_stamp()}"
        _log.warning("%s was not published by cvport; it is kept as %s", target, aside)
    aside = _free(aside)
    target.rename(aside)
    try:
        incoming.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    return aside.name


def _prune(store: Path, name: str, keep: set[str], away: Path) -> None:
    """Remove older generations of *name*; what a user put at the target is kept under a name that does not match."""
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{{_DIGEST_CHARS}}}(-\d+)?")
    # The new artifact is in place: what cannot be removed now is a matter for the next time, not an error.
    with suppress(OSError):
        for path in store.iterdir():
            if pattern.fullmatch(path.name) and path.name not in keep:
                # Out of the store first: a removal cut short must not leave half a generation there.
                gone = path.rename(private(away, name))
                shutil.rmtree(gone, ignore_errors=True)


def _probe(output: Path, staging: Path) -> None:
    """Find out now whether the disk is full or *output* takes no new entries."""
    if not os.access(output, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(output))
    path = staging / "probe"
    path.write_bytes(bytes(_PROBE_BYTES))
    _sync(path)
    path.unlink()


def _sync(path: Path) -> None:
    """Flush a file, or a folder's list of entries, to the disk."""
    if sys.platform == "win32" and path.is_dir():  # cannot be opened there
        return
    is_folder = path.is_dir()
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_folder and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # some file systems cannot, for folders
            raise
    finally:
        os.close(descriptor)


def _free(path: Path) -> Path:
    """Return *path*, or if something is there, the first of path-2, path-3 ... that is free."""
    candidates = (path.with_name(f"{path.name}-{count}") for count in itertools.count(2))
    return next(place for place in itertools.chain([path], candidates) if not os.path.lexists(place))


def _stamp(now: datetime | None = None) -> str:
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    """Turn errors of the file system into ones that a user understands."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(output, error) from error


def _is_about(error: OSError, output: Path) -> bool:
    """Tell whether an error from a block of foreign code came from writing into *output*."""
    if error.filename is None:
        return error.errno in _WRITING
    return Path(os.fsdecode(error.filename)).absolute().is_relative_to(output.absolute())


def _cannot_write(output: Path, error: OSError) -> ArtifactError:
    """Return the error for people, with its cause and what to do."""
    elsewhere = "choose another folder with --output"
    steps = {
        errno.EFBIG: "Raise the limit on the size of files (ulimit -f)",
        errno.EIO: "The disk may be broken: check it",
    }
    if error.errno in _FULL:
        return ArtifactError(f"no space left on the disk of {output}", f"Free some space there, or {elsewhere}.")
    blocking = next((path for path in (output, *output.parents) if path.is_file()), None)
    if blocking:
        return ArtifactError(f"cannot write to {output}: {blocking} is a file", f"Move it away, or {elsewhere}.")
    where = f" ({error.filename})" if error.filename and str(error.filename) != str(output) else ""
    reason = error.strerror or str(error)
    step = steps.get(error.errno or 0, "Check its permissions")
    return ArtifactError(f"cannot write to {output}: {reason}{where}", f"{step}, or {elsewhere}.")
