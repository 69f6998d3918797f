"""Arrays and descriptions that were stored: read without trust, since files get damaged and altered."""

from __future__ import annotations

import logging
import math
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import cv2
import numpy as np

from ...errors import ArtifactError, CvportError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...runtimes.backends.base import Array

_log = logging.getLogger(__name__)

# The largest capture, with every tap of the largest network, has 2 GB.
_LARGEST_TOTAL = 8 << 30
_MOST_ARRAYS = 100_000
# Booleans, whole numbers and floating-point numbers; no objects, texts or records.
_KINDS = "biuf"
DAMAGE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error, cv2.error),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError, StopIteration),
)


@contextmanager
def told_as_damage(what: object, hint: str) -> Iterator[None]:
    """Turn any error of code that works on stored values alone into an ArtifactError.

    Args:
        what: The file that holds them, for the message.
        hint: What to do next.

    Raises:
        ArtifactError: The values are not what the code can use.

    """
    try:
        yield
    except (*DAMAGE, CvportError) as error:
        # Results that refuse their own arrays were made of stored ones.
        if isinstance(error, CvportError) and not isinstance(error, InputError):
            raise
        _log.info("stored values cannot be used", exc_info=error)
        reason = str(error).splitlines()[0] if str(error) else ""
        raise ArtifactError(
            f"{what} is damaged, or does not hold what belongs into it: {type(error).__name__}: {ascii(reason)[1:-1]}",
            hint,
        ) from error


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of an .npz file by name; an array that claims to be larger than its data is never allocated.

    Raises:
        ValueError, OSError, zipfile.BadZipFile: The file is damaged, or is none of numbers alone.

    """
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MOST_ARRAYS or sum(member.file_size for member in members) > _LARGEST_TOTAL:
            raise ValueError("it unpacks to more than any such file has")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays or name == member.filename:
                raise ValueError(f"unexpected member {member.filename!r}")
            with archive.open(member) as file:
                arrays[name] = _read_array(file, name, member.file_size)
    return arrays


def _read_array(file: IO[bytes], name: str, size: int) -> Array:
    """Read an array of the .npy format that has to take *size* bytes with its header."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{name} is of the unknown version {version} of .npy")
    shape, fortran_order, dtype = readers[version](file)
    if dtype.kind not in _KINDS or any(side < 0 for side in shape):
        raise ValueError(f"{name} is no array of numbers but {dtype} {shape}")
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} claims the shape {shape}, which its {size} bytes do not have")
    data = np.frombuffer(bytearray(file.read()), dtype)
    return data.reshape(shape, order="F" if fortran_order else "C")


def check_array(name: str, value: Array, dtype: type[Any], shape: tuple[int | None, ...]) -> Array:
    """Return an array that has the type and the shape that it should; None stands for any length.

    Raises:
        ValueError: It has not.

    """
    fits = value.ndim == len(shape) and all(
        side > 0 and side == (wanted or side) for side, wanted in zip(value.shape, shape, strict=True)
    )
    if value.dtype != dtype or not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{name} is {value.dtype} {value.shape} instead of {np.dtype(dtype)} ({wanted})")
    return value


def check_numbers(what: str, content: dict[str, Any], words: tuple[str, ...] = ("derived",)) -> None:
    """Refuse figures that are no numbers, with a TypeError; *words* are the names of texts among them."""
    for name, value in content.items():
        if not isinstance(value, str if name in words else int | float):
            raise TypeError(f"{name} of {what} is {value!r}")
