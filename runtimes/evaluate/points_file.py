"""Reads the points of a face in the format of the 300-W challenge (ibug.doc.ic.ac.uk/resources/300-W): ``.pts``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_FILE = re.compile(r"\s*(?:version:\s*\S+\s+)?n_points:\s*(\d+)\s*\{([^{}]*)\}\s*", re.IGNORECASE)
_HINT = "A .pts file has the lines version: 1, n_points: N, {, N lines of x y, }."


def read_points(path: Path) -> NDArray[np.float64]:
    """Return the points of a face, (P, 2) x y in pixels, the middle of the first pixel at 0 0.

    The files count pixels from 1, as Matlab does, so 1 is taken off.

    Raises:
        InputError: It cannot be read, or is no such file.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the points {path}: {error}", _HINT) from error
    found = _FILE.fullmatch(text)
    if found is None:
        raise InputError(f"{path} is no file of points", _HINT)
    try:
        values = np.array(found[2].split(), dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path} holds something that is no number: {error}", _HINT) from error
    count = int(found[1])
    if values.size != 2 * count or not np.isfinite(values).all():
        raise InputError(f"{path} announces {count} points and holds {values.size} coordinates", _HINT)
    points: NDArray[np.float64] = values.reshape(-1, 2) - 1
    return points
