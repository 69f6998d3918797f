"""A layer between a program and its files that fails at one operation, in a child process."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# os.replace is an os.rename. What else `sys.audit` tells of is no operation on a file.
_EVENTS = (
    "open",
    "os.link",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.scandir",
    "os.symlink",
)
_UNAUDITED = ("lstat", "readlink", "stat")  # they cannot fail because a disk is full
KILLED = 137
# The one of the system, before a layer is between.
_READLINK = os.readlink


class Outcome(NamedTuple):
    """How a child ended.

    Attributes:
        killed: Whether it was ended before an operation; nothing else is known then.
        steps: Operations until it ended, the failing one included.
        error: Name of the class of what it raised; "" if it ended well.
        code: Exit code of that error, -1 for one that is not ours.
        message: Its message.
        hint: Its next step.

    """

    killed: bool = False
    steps: int = 0
    error: str = ""
    code: int = 0
    message: str = ""
    hint: str = ""


class Layer:
    """Counts operations on what lies below a folder, and lets one of them fail.

    Args:
        folder: The folder; it need not exist.
        at: Number of the operation, from 1.
        number: An errno that the operation fails with; None ends the process before it.

    """

    def __init__(self, folder: Path, at: int, number: int | None) -> None:
        self.steps = 0
        self._folder = f"{folder.absolute()}{os.sep}"
        self._at = at
        self._number = number

    def install(self) -> None:
        """Take effect for the rest of the process."""
        sys.addaudithook(lambda event, args: self.step(*args[:2]) if event in _EVENTS else None)
        for name in _UNAUDITED if self._number in (None, errno.EIO) else ():
            setattr(os, name, self._watched(getattr(os, name)))
        # The sync itself is left out: no process can tell, and there are thousands.
        os.fsync = lambda descriptor: self.step(f"/proc/self/fd/{descriptor}", named=False)
        opened = io.open
        io.open = lambda file, mode="r", *args, **options: self._wrapped(opened(file, mode, *args, **options), mode)

    def step(self, *paths: Any, named: bool = True) -> None:
        """Count an operation on some paths, and fail if it is the one."""
        if not any(self._is_ours(path) for path in paths):
            return
        self.steps += 1
        if self.steps != self._at:
            return
        if self._number is None:
            os._exit(KILLED)
        names = [os.fspath(paths[0])] if named else []
        raise OSError(self._number, os.strerror(self._number), *names)

    def _is_ours(self, path: Any) -> bool:
        if isinstance(path, int) or not isinstance(path, str | os.PathLike):
            return False
        text = os.fspath(path)
        if text.startswith("/proc/self/fd/"):
            text = _READLINK(text)
        return f"{os.path.abspath(text)}{os.sep}".startswith(self._folder)  # noqa: PTH100

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *args: Any, **options: Any) -> Any:
            self.step(path)
            return call(path, *args, **options)

        return watched

    def _wrapped(self, file: Any, mode: str) -> Any:
        ours = set(mode) & set("wax+") and self._is_ours(getattr(file, "name", None))
        return _Written(file, self) if ours else file


class _Written:
    """A file whose writing is an operation: half of the data is there when it fails."""

    def __init__(self, file: Any, layer: Layer) -> None:
        self._file = file
        self._layer = layer

    def write(self, data: Any) -> int:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._layer.step(self._file.name, named=False)
        return half + self._file.write(data[half:])

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def run(work: Callable[[], object], folder: Path, at: int, number: int | None) -> Outcome:
    """Run *work* in a child whose operation number *at* below *folder* fails; see `Layer`."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _work(work, Layer(folder, at, number), writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == KILLED:
        return Outcome(killed=True)
    assert status == 0, f"the child ended with {status}"
    return Outcome(**json.loads(told))


def _work(work: Callable[[], object], layer: Layer, writing: int) -> None:
    """Run *work* and tell how it ended; does not return."""
    ending: dict[str, Any] = {}
    try:
        layer.install()
        work()
    except BaseException as error:
        ending = {
            "error": type(error).__name__,
            "code": getattr(error, "exit_code", -1),
            "message": getattr(error, "message", str(error)),
            "hint": getattr(error, "hint", ""),
        }
    finally:
        os.write(writing, json.dumps({"steps": layer.steps, **ending}).encode())
        os._exit(0)
