"""Two results drawn over one image, so that what differs is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kinds.canvas import Canvas
from ..kinds.drawing import draw
from ..kinds.registry import get_kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..kinds.base import Mark
    from .compare import Pair

# R G B: the reference wide and green, the candidate narrow and magenta over it; one of the two alone is red.
_REFERENCE, _CANDIDATE, _ALONE = (0, 170, 60), (255, 60, 220), (230, 30, 30)


def overlay(image: NDArray[np.uint8], pair: Pair) -> NDArray[np.uint8]:
    """Return an image with both results, or with the one beside the other where they have no place in it.

    Args:
        image: (h, w, 3) uint8 BGR; it is not changed.
        pair: With both results.

    """
    if len(pair.results) < 2:  # noqa: PLR2004
        return image
    first, second = pair.results
    marks = get_kind(first.kind).marks(first, second, pair.stats)
    if not marks:
        return np.concatenate([draw(image, first), draw(image, second)], axis=1)
    canvas = Canvas(image)
    for mark, other in marks:
        alone = mark is None or other is None
        if mark is not None:
            _put(canvas, mark, _ALONE if alone else _REFERENCE, 4)
        if other is not None:
            _put(canvas, other, _ALONE if alone else _CANDIDATE, 1)
        _tell(canvas, mark, other)
    return canvas.image()


def _tell(canvas: Canvas, mark: Mark | None, other: Mark | None) -> None:
    """Write beside a mark what the two say of it, where they do not say the same."""
    if mark is not None and other is not None:
        if mark.label != other.label:
            canvas.tag([f"{mark.label} / {other.label}"], _box(mark), _CANDIDATE)
        return
    for one, name in ((mark, "reference"), (other, "candidate")):
        if one is not None:
            canvas.tag([f"{one.label} in the {name} only".strip(), f"{name} only"], _box(one), _ALONE)


def _box(mark: Mark) -> NDArray[np.float32]:
    box: NDArray[np.float32] = np.concatenate([mark.points.min(axis=0), mark.points.max(axis=0)])
    return box


def _put(canvas: Canvas, mark: Mark, colour: tuple[int, int, int], width: int) -> None:
    if mark.outline:
        canvas.box(_box(mark), colour, width)
    else:
        canvas.points(mark.points, colour, 1.0 + width / 2)
