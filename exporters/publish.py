"""Where artifacts land: staged beside their target, swapped in whole, never half-written.

    output/<name>                       symlink to the published generation: what readers open
    output/.store/<name>-<digest>/      the generations, addressed by the digest of their SHA256SUMS
    output/.staging/<name>-.../         private folders of running exports
    output/rejected/<name>-<UTC time>/  what did not pass

A folder is written, hashed and flushed to the disk under ``.staging``, renamed into ``.store``, and only
then is ``output/<name>`` replaced by a fresh symlink, in one atomic step. So a reader finds the old
artifact or the new one, also after a kill or a power cut. A reader that wants several files of one generation
resolves the link once and reads from there; the previous generation stays for such readers.

In two cases the swap takes two renames, and a kill exactly between them leaves no ``output/<name>``: where it is
a plain folder that somebody put there (it is moved into ``.store`` first, and never deleted), and where symlinks
are not available, so that published artifacts are plain folders. Old and new then both lie whole in ``.store``,
and the next publication puts things right; an error or Ctrl-C between the two puts the old one back.

Exports that run at the same time keep out of each other's way by advisory locks on folders. Where there are
none (Windows, some network file systems), publish one artifact of a name at a time.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import logging
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ..models.errors import ArtifactError

if sys.platform != "win32":
    import fcntl

SUMS_NAME = "SHA256SUMS"

_STORE = ".store"
_STAGING = ".staging"
_REJECTED = "rejected"
_DIGEST_CHARS = 16
_PROBE_BYTES = 4096
# Only for staging folders whose owner cannot be asked (another host, no locks): far longer than any export.
_ABANDONED_AFTER_S = 24 * 3600.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUMS_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}

_AGAIN = "Export it again with cvexport."

_log = logging.getLogger(__name__)


@contextmanager
def stage(output: Path, name: str) -> Iterator[Path]:
    """Make a private folder inside *output*, to be filled and then published or rejected.

    The folder is removed at the end of the block if it is still there. That *output* can be written to is
    tried here, before the minutes of work that follow; so is the removal of what killed exports left behind.

    Args:
        output: The folder of all artifacts; made if missing.
        name: The artifact's name.

    Yields:
        An empty folder on the file system of the target.

    Raises:
        ArtifactError: *output* cannot be written to, here or, on a full disk, later in the block.

    """
    _check_name(name)
    with ExitStack() as stack:
        with _explained(output), _exclusive(output):
            _sweep(output / _STAGING)
            staging = stack.enter_context(_scratch(output, name))
            _probe(output, staging)
        try:
            yield staging
        except OSError as error:
            if _is_about(error, output):
                raise _cannot_write(output, error) from error
            raise


def publish(staging: Path, output: Path, name: str) -> Path:
    """Seal the folder *staging* and make it the published artifact *name*.

    Whatever was published before stays readable until the new one takes its place, and one generation longer.

    Args:
        staging: A folder from `stage`; it is used up.
        output: The folder of all artifacts.
        name: The artifact's name.

    Returns:
        ``output/name``.

    Raises:
        ArtifactError: Nothing was staged, or *output* cannot be written to; the published artifact is as before.

    """
    _check_name(name)
    with _explained(output):
        return _install(staging, output, name)


def reject(staging: Path, output: Path, name: str, now: datetime | None = None) -> Path:
    """Seal the folder *staging* and put it under ``output/rejected``; what is published is not touched.

    Args:
        staging: A folder from `stage`; it is used up.
        output: The folder of all artifacts.
        name: The artifact's name.
        now: The time to name it by; the current time if not given.

    Returns:
        The folder it is in now.

    Raises:
        ArtifactError: *output* cannot be written to.

    """
    _check_name(name)
    with _explained(output):
        _seal(staging)
        rejected = output / _REJECTED
        rejected.mkdir(parents=True, exist_ok=True)
        with _exclusive(output):
            place = _free(rejected / f"{name}-{_stamp(now)}")
            staging.rename(place)
        _sync(rejected)
        return place


def replace_files(output: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Publish a new generation of *name* in which only *files* differ.

    All other files are carried over byte for byte. A damaged artifact is refused: its fresh sums would hide the damage.

    Args:
        output: The folder of all artifacts.
        name: The name of a published artifact.
        files: Contents by relative name with forward slashes; new names are added.

    Returns:
        ``output/name``.

    Raises:
        ArtifactError: The published artifact is missing or damaged, was exchanged for another one in the
            meantime, or *output* cannot be written to.

    """
    _check_name(name)
    for relative in files:
        _check_relative(relative)
    source = (output / name).resolve()
    verify_sums(source)
    with stage(output, name) as staging, _explained(output):
        for relative in _files(source):
            if relative not in files:
                _carry_over(source / relative, staging / relative)
        for relative, data in files.items():
            path = staging / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return _install(staging, output, name, expected=source)


def verify_sums(folder: Path) -> None:
    """Check every file that ``SHA256SUMS`` of *folder* lists.

    Raises:
        ArtifactError: Files are missing or altered, and named, or there are no sums to check against.

    """
    try:
        if not folder.is_dir():
            raise ArtifactError(f"there is no artifact in {folder}", "Export one with cvexport.")
        # The published folder may be swapped at any moment: resolved once, all files are of one generation.
        damage = _damage(folder.resolve())
    except OSError as error:
        raise ArtifactError(f"cannot read {error.filename or folder}: {error.strerror or error}", _AGAIN) from error
    if damage:
        raise ArtifactError(f"the artifact in {folder} is damaged: {damage}", _AGAIN)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the swap


def _install(staging: Path, output: Path, name: str, expected: Path | None = None) -> Path:
    """Publish *staging*; with *expected*, only over the generation in that folder."""
    if not _files(staging):
        raise ArtifactError(f"there is nothing to publish as {name!r}: no file was staged")
    target = output / name
    digest = _seal(staging)
    generation = output / _STORE / f"{name}-{digest[:_DIGEST_CHARS]}"
    with _exclusive(output), _scratch(output, name) as scratch:
        if expected is not None and target.resolve() != expected:
            raise ArtifactError(f"{target} was published anew in the meantime", "Run the command again.")
        if target.is_symlink() or _digest_if_whole(target) != digest:
            previous = _store_and_swap(staging, generation, target, scratch)
            _sync(output)
            _prune(generation, previous, name, scratch)
    shutil.rmtree(staging, ignore_errors=True)
    return target


def _store_and_swap(staging: Path, generation: Path, target: Path, scratch: Path) -> str | None:
    """Move *staging* to *generation* and *target* to that; return the name of the generation before, if any."""
    fresh = not generation.exists()
    try:
        if fresh:
            staging.rename(generation)
        else:
            _repair(generation, staging)
        _sync(generation.parent)
        return _swap(generation, target, scratch)
    except BaseException:
        # Back to where the caller's cleanup finds it: a full disk must not fill further with every attempt.
        if fresh and target.resolve() != generation.resolve():
            with suppress(OSError):
                generation.rename(staging)
        raise


def _repair(generation: Path, staging: Path) -> None:
    """Move the staged files over those of the same generation, which readers may have open."""
    # They have the same contents, unless somebody altered it in place. File by file, nothing whole is ever gone.
    for relative in (*_files(staging), SUMS_NAME):
        place = generation / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        (staging / relative).replace(place)
    _sync_tree(generation)


def _swap(generation: Path, target: Path, scratch: Path) -> str | None:
    """Make *target* lead to *generation*; return the name of the generation it led to, if any."""
    link = _fresh_link(generation, target, scratch / "new")
    if target.is_symlink():
        previous = target.readlink().name
        if link:
            link.replace(target)
        else:
            _exchange(generation, target, scratch / "old")
        return previous
    incoming = link or generation
    if not target.exists():
        incoming.rename(target)
        return None
    aside = _place_for_plain_folder(target, generation.parent, published_here=link is None)
    _exchange(incoming, target, aside)
    return aside.name


def _fresh_link(generation: Path, target: Path, link: Path) -> Path | None:
    """Make a symlink that is right once it lies at *target*; None where symlinks cannot be used."""
    if os.name == "nt":  # cannot replace a link to a folder in one step, so nothing is gained by one
        return None
    try:
        link.symlink_to(generation.relative_to(target.parent))
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in _FULL:
            raise
        return None
    return link


def _exchange(incoming: Path, target: Path, aside: Path) -> None:
    """Move *target* aside and *incoming* to its place, or put *target* back."""
    try:
        target.rename(aside)
        incoming.rename(target)
    except BaseException:
        if not os.path.lexists(target):
            aside.rename(target)
        raise


def _place_for_plain_folder(target: Path, store: Path, *, published_here: bool) -> Path:
    """Return where in the store the plain folder *target* goes.

    Without symlinks it is a generation of ours, to be pruned in its time, if it is exactly what its sums say.
    Anything else is somebody's own copy, and gets a name that is never pruned.
    """
    if published_here:
        digest = _digest_if_whole(target)
        place = store / f"{target.name}-{(digest or '')[:_DIGEST_CHARS]}"
        if digest and not place.exists() and set(_files(target)) == set(_read_sums(target)):
            return place
    place = _free(store / f"{target.name}-kept-{_stamp()}")
    _log.warning("%s was not published by cvport; it is kept as %s", target, place)
    return place


def _prune(generation: Path, previous: str | None, name: str, scratch: Path) -> None:
    """Remove the generations of *name* but *generation* and the one before it."""
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{{_DIGEST_CHARS}}}")
    # The new artifact is in place: what cannot be removed now is a matter for the next time, not an error.
    with suppress(OSError):
        others = {path.name: path for path in generation.parent.iterdir() if pattern.fullmatch(path.name)}
        others.pop(generation.name, None)
        if others and previous not in others:
            previous = max(others, key=lambda other: others[other].stat().st_mtime)
        for other, path in others.items():
            if other != previous:
                # Out of the store first: a removal cut short must not leave half a generation there.
                path.rename(scratch / other)


# --- staging folders


@contextmanager
def _scratch(output: Path, name: str) -> Iterator[Path]:
    """Make a folder that lives as long as the block, and is known to be in use as long as the process lives."""
    folder = output / _STAGING / f"{name}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        with _locked(folder, exclusive=False):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(staging: Path) -> None:
    """Remove the folders of exports that no longer run."""
    if not staging.is_dir():
        return
    for folder in staging.iterdir():
        with suppress(OSError):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Tell whether the owner of a staging folder is gone."""
    held = _is_locked(folder)
    if held:
        return False
    # A free lock proves nothing about another host: some network file systems keep locks to themselves.
    if held is False and f"-{_host()}-" in folder.name:
        return True
    return time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", platform.node()) or "unknown"


def _probe(output: Path, staging: Path) -> None:
    """Find out now whether the disk is full or *output* takes no new entries."""
    if not os.access(output, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(output))
    path = staging / "probe"
    path.write_bytes(bytes(_PROBE_BYTES))
    _sync(path)
    path.unlink()


# --- locks


@contextmanager
def _exclusive(output: Path) -> Iterator[None]:
    """Let one process at a time sweep, swap and prune in *output*."""
    store = output / _STORE
    store.mkdir(parents=True, exist_ok=True)
    with _locked(store, exclusive=True):
        yield


@contextmanager
def _locked(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold a lock on *folder*, which the system lets go when the process ends in any way."""
    if sys.platform == "win32":
        yield
    else:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


def _is_locked(folder: Path) -> bool | None:
    """Tell whether somebody holds a lock on *folder*; None if that cannot be known."""
    locked = None
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = False
        except BlockingIOError:
            locked = True
        except OSError:  # a file system without locks
            pass
        finally:
            os.close(descriptor)
    return locked


# --- sums


def _seal(folder: Path) -> str:
    """Write the sums of *folder*, flush it all to the disk, and return the digest of the sums."""
    lines = [_sums_line(relative, sha256_file(folder / relative)) for relative in _files(folder)]
    path = folder / SUMS_NAME
    path.write_bytes(os.fsencode("".join(lines)))
    _sync_tree(folder)
    return sha256_file(path)


def _files(folder: Path) -> list[str]:
    """List the files below *folder* but the sums, sorted, as relative names with forward slashes."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(relative for relative in paths if relative != SUMS_NAME)


def _sums_line(relative: str, digest: str) -> str:
    """Return a line as sha256sum writes it, which marks and escapes names that would break the format."""
    escaped = re.sub(r"[\\\n\r]", lambda match: _ESCAPES[match[0]], relative)
    mark = "" if escaped == relative else "\\"
    return f"{mark}{digest}  {escaped}\n"


def _read_sums(folder: Path) -> dict[str, str]:
    """Return the digests that the sums of *folder* list, by relative name."""
    path = folder / SUMS_NAME
    sums = {}
    for line in os.fsdecode(path.read_bytes()).removesuffix("\n").split("\n"):
        match = _SUMS_LINE.fullmatch(line)
        if match is None:
            raise ArtifactError(f"{path} is damaged: {line!r} is not a line of sums", _AGAIN)
        mark, digest, relative = match.groups()
        if mark:
            relative = re.sub(r"\\[\\nr]", lambda escape: _UNESCAPES[escape[0]], relative)
        sums[relative] = digest
    return sums


def _damage(folder: Path) -> str:
    """Tell what is wrong with the files of *folder*, or return an empty string."""
    if not (folder / SUMS_NAME).is_file():
        return f"there is no {SUMS_NAME}"
    sums = _read_sums(folder)
    missing = [relative for relative in sums if not (folder / relative).is_file()]
    altered = [
        relative
        for relative, digest in sums.items()
        if relative not in missing and sha256_file(folder / relative) != digest
    ]
    kinds = {"missing": missing, "altered": altered}
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names)


def _digest_if_whole(folder: Path) -> str | None:
    """Return the digest of the sums of *folder*, or None if it is not a whole artifact."""
    try:
        verify_sums(folder)
    except ArtifactError:
        return None
    return sha256_file(folder / SUMS_NAME)


# --- files


def _carry_over(source: Path, place: Path) -> None:
    """Give *place* the contents of *source*, without a second copy on the disk where that is possible."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.hardlink_to(source)
    except (OSError, NotImplementedError):
        shutil.copy2(source, place)


def _free(path: Path) -> Path:
    """Return *path*, or if something is there, the first of path-2, path-3 ... that is free."""
    candidates = (path.with_name(f"{path.name}-{count}") for count in itertools.count(2))
    return next(place for place in itertools.chain([path], candidates) if not os.path.lexists(place))


def _stamp(now: datetime | None = None) -> str:
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _sync_tree(folder: Path) -> None:
    """Flush a folder and everything in it to the disk."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    """Flush a file or a folder's list of entries to the disk."""
    is_folder = path.is_dir()
    if os.name == "nt" and is_folder:  # cannot be opened there
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_folder and error.errno in {errno.EINVAL, errno.ENOTSUP}):  # some file systems cannot, for folders
            raise
    finally:
        os.close(descriptor)


# --- names and errors


def _check_name(name: str) -> None:
    """Refuse names that would lead out of the output folder or into its own parts."""
    if not _NAME.fullmatch(name) or name.lower() == _REJECTED:
        raise ArtifactError(f"an artifact cannot be called {name!r}", "Use letters, digits, '.', '_' and '-'.")


def _check_relative(relative: str) -> None:
    """Refuse names of files that would land outside of the artifact or in place of its sums."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != relative or relative in {".", SUMS_NAME}:
        raise ArtifactError(f"{relative!r} is not the name of a file inside an artifact")


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    """Turn errors of the file system into ones that a user understands."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(output, error) from error


def _is_about(error: OSError, output: Path) -> bool:
    """Tell whether an error from a block of foreign code came from writing into *output*."""
    if error.filename is None:  # writing to an open file names none
        return error.errno in _FULL
    return Path(os.fsdecode(error.filename)).absolute().is_relative_to(output.absolute())


def _cannot_write(output: Path, error: OSError) -> ArtifactError:
    """Return the error for people, with its cause and what to do."""
    elsewhere = "choose another folder with --output"
    if error.errno in _FULL:
        return ArtifactError(f"no space left on the disk of {output}", f"Free some space there, or {elsewhere}.")
    if error.errno in _NOT_A_FOLDER:
        blocking = next((path for path in (output, *output.parents) if path.is_file()), None)
        if blocking:
            return ArtifactError(f"cannot write to {output}: {blocking} is a file", f"Move it away, or {elsewhere}.")
    where = f" ({error.filename})" if error.filename and str(error.filename) != str(output) else ""
    reason = error.strerror or str(error)
    advice = "Ask for permission to write there" if error.errno in _FORBIDDEN else "Look into the cause"
    return ArtifactError(f"cannot write to {output}: {reason}{where}", f"{advice}, or {elsewhere}.")
