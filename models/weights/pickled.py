"""Looks at a pickle without loading it: a short one can ask for work without end."""

from __future__ import annotations

import io
import pickletools
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from ...errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

# A tensor's arguments have tuples in a tuple. The hash of a tuple is computed anew each time: one that holds another
# twice doubles the work, and forty of those in a row, as a key, are a trillion.
_DEEPEST = 16
_TUPLES = ("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET")
# These make something of what they are given, which may be hashed as it is.
_CALLS = ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "BINPERSID")
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_MARK = -1
# Of PyTorch before 1.6: magic number, version, system, content, one after the other in the file.
_PICKLES_OF_OLD = 4


def check_nesting(path: Path) -> None:
    """Refuse a checkpoint in which tuples are nested deeper than any network's.

    A file that is damaged is left to the unpickler, which says so.

    Raises:
        WeightsError: They are.
        OSError: The file cannot be read.

    """
    with suppress(ValueError, IndexError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, NotImplementedError):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith("data.pkl"):
                        _check(io.BytesIO(archive.read(name)), path)
        else:
            with path.open("rb") as file:
                for _ in range(_PICKLES_OF_OLD):
                    _check(file, path)


def _check(stream: BinaryIO, path: Path) -> None:
    """Follow how deep tuples stand in each other on the stack of a pickle; the stream is left behind its end."""
    stack: list[int] = []
    memo: dict[object, int] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in _GETS:
            stack.append(memo[argument])
        elif name in _PUTS:
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "MARK":
            stack.append(_MARK)
        else:
            depth = _depth(name, _take(opcode, stack))
            if depth > _DEEPEST:
                raise WeightsError(
                    f"{path} has tuples that are nested over {_DEEPEST} levels deep",
                    "Save the network's own state dict again: torch.save(model.state_dict(), FILE)",
                )
            stack += [depth] * len(opcode.stack_after)


def _take(opcode: pickletools.OpcodeInfo, stack: list[int]) -> list[int]:
    """Take off the stack what an operation takes."""
    taken, count = [], len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        while (top := stack.pop()) != _MARK:
            taken.append(top)
        count = opcode.stack_before.index(pickletools.markobject)
    return [*taken, *(stack.pop() for _ in range(count))]


def _depth(name: str, taken: list[int]) -> int:
    if name in _TUPLES:
        return 1 + max(taken, default=0)
    return max(taken, default=0) if name in _CALLS else 0
