"""Images of a report: what two legs found in one, their difference enlarged until it can be seen."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ...runtimes.kinds.base import Mark
    from ..gate.verify import Comparison, Verification

# The longer side of an image, in pixels, and its quality as JPEG.
_SIDE, _QUALITY = 480, 80
# Pairs of marks that are drawn: more hide each other.
_MOST_MARKS = 12
# The largest difference is drawn as long as this share of the image's longer side.
_SHOWN = 0.04
_POINT = 2.0


class Shape(NamedTuple):
    """What is drawn of a mark.

    Attributes:
        points: As SVG has them, "x,y x,y ..", in pixels of the picture.
        outline: Whether they are the corners of an outline, else single points.
        label: What is written at the first.

    """

    points: tuple[tuple[float, float], ...]
    outline: bool
    label: str

    @property
    def path(self) -> str:
        """The points as SVG's polygon has them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


class Picture(NamedTuple):
    """One image with what two legs found in it.

    Attributes:
        legs: Such as "torch-onnx".
        title: Its case and number.
        verdict: Of its comparison.
        data: The JPEG, in base64.
        width: In pixels, as is the height.
        height: Of the picture.
        factor: How many times the differences are enlarged; 1 where nothing differs, or as much as can be seen.
        first: What the reference found.
        second: What the other found, with its differences enlarged.
        left: Pairs that are not drawn.

    """

    legs: str
    title: str
    verdict: str
    data: str
    width: int
    height: int
    factor: float
    first: tuple[Shape, ...]
    second: tuple[Shape, ...]
    left: int


def draw_pictures(verification: Verification, order: Iterable[tuple[str, str, str]], most_bytes: int) -> list[Picture]:
    """Return the pictures of comparisons of results in the order given, as many as fit.

    Args:
        verification: With its images and marks.
        order: (legs, case, what) of comparisons, the worst first.
        most_bytes: What they may take together.

    """
    marked = {_key(entry): entry for entry in verification.comparisons if entry.marks}
    images = {
        (case.name, f"image {i + 1}"): region.image
        for case in verification.reference.cases
        for i, region in enumerate(case.regions)
    }
    made, used = [], 0
    for key in order:
        entry = marked.get(key)
        if entry is None:
            continue
        picture = _picture(entry, images[key[1:]])
        used += len(picture.data) + sum(len(shape.path) for shape in (*picture.first, *picture.second))
        if used > most_bytes:
            break
        made.append(picture)
    return made


def count_pictures(verification: Verification) -> int:
    """Return how many comparisons have a picture."""
    return sum(bool(entry.marks) for entry in verification.comparisons)


def _key(entry: Comparison) -> tuple[str, str, str]:
    return "-".join(entry.legs), entry.case, entry.what


def _picture(entry: Comparison, image: NDArray[np.uint8]) -> Picture:
    pairs = sorted(entry.marks, key=_difference, reverse=True)
    shown = pairs[:_MOST_MARKS]
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    factor = _factor(shown, max(image.shape[:2]))
    first = tuple(_shape(a.points, a, scale) for a, _ in shown if a is not None)
    second = []
    for a, b in shown:
        if b is not None:
            moved = b.points if a is None else a.points + factor * (b.points - a.points)
            second.append(_shape(moved, b, scale))
    height, width = small.shape[:2]
    text = base64.b64encode(data.tobytes()).decode()
    title = f"{entry.case} ({entry.what})"
    legs, verdict = "-".join(entry.legs), entry.judgement.verdict
    return Picture(legs, title, verdict, text, width, height, factor, first, tuple(second), len(pairs) - len(shown))


def _difference(pair: tuple[Mark | None, Mark | None]) -> float:
    """Return the largest difference of a coordinate; infinite for what one leg has alone."""
    first, second = pair
    if first is None or second is None:
        return math.inf
    return float(np.abs(first.points - second.points).max())


def _factor(pairs: Sequence[tuple[Mark | None, Mark | None]], side: int) -> float:
    """Return the power of ten by which differences are enlarged so that the largest can be seen."""
    largest = max((value for value in map(_difference, pairs) if math.isfinite(value)), default=0.0)
    if largest <= 0:
        return 1.0
    return float(max(1.0, 10.0 ** math.floor(math.log10(_SHOWN * side / largest))))


def _shape(points: NDArray[Any], mark: Mark, scale: float) -> Shape:
    finite = np.nan_to_num(points * scale, nan=0.0, posinf=1e4, neginf=-1e4)
    return Shape(tuple((float(x), float(y)) for x, y in finite), mark.outline, mark.label)
