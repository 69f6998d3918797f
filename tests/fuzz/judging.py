"""Whether the outcome of an input is right: an accepted value, or an error of the toolkit with the proper exit code."""

from __future__ import annotations

import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from cvport.errors import CvportError

SECONDS = 5
# Beyond what the process has when it starts on a target.
_MOST_BYTES = 4 << 30
_ROOT = Path(__file__).parents[2]


class Target(NamedTuple):
    """Something that reads what may be damaged.

    Attributes:
        seeds: Returns good inputs, from which the others are made.
        run: Reads an input and uses what comes out; raises a `SilentChangeError` where that is not what was given.
        mutate: Returns an input with some changes.
        codes: Exit codes that an error may have.

    """

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]
    mutate: Callable[[bytes, Random], bytes]
    codes: tuple[int, ...]


class Finding(NamedTuple):
    """What an input should not have led to.

    Attributes:
        key: The error and where it was raised: two inputs of one key show the same fault.
        text: The traceback.

    """

    key: str
    text: str


class SilentChangeError(Exception):
    """A value was accepted, and is not the one that was given."""


class HangError(BaseException):
    """An input took longer than allowed; no `except Exception` catches it."""


def judge(target: Target, data: bytes) -> Finding | None:
    """Run one input; return what is wrong with the outcome, or None."""
    try:
        with _time_limit():
            target.run(data)
    except CvportError as error:
        if error.exit_code in target.codes:
            return None
        return _finding(error)
    except (Exception, HangError) as error:
        return _finding(error)
    return None


def limit_memory() -> None:
    """Let the process have so much more memory; what asks for more gets a MemoryError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + _MOST_BYTES, most))


def _finding(error: BaseException) -> Finding:
    """Name an error by its type and by the last line of the package that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(_ROOT)]
    inside = [frame for frame in own if "tests" not in Path(frame.filename).resolve().relative_to(_ROOT).parts]
    last = (inside or own or frames)[-1]
    place = f"{'/'.join(Path(last.filename).parts[-3:])}:{last.lineno}"
    return Finding(f"{type(error).__name__} at {place}", "".join(traceback.format_exception(error)))


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(_signal: int, _frame: object) -> None:
        raise HangError(f"over {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
