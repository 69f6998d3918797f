"""Places for text on an image: beside what it belongs to, apart from other text. numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Box: TypeAlias = tuple[float, float, float, float]

# Share of the image that tags may cover in total.
_BUDGET = 0.25
# Shares of its own box and of any other that a tag may cover.
_OWN, _OTHER = 0.34, 0.6
# What each next choice of place costs, in shares of a box that is covered.
_NEXT_CHOICE = 0.02
# Places of a number beside its point: directions, and distances in heights of the text.
_ANGLES = np.arange(16) * (2 * np.pi / 16)
_DISTANCES = (0.0, 0.7, 1.5, 2.4)
# Costs of such a place: pointing the other way; each next distance; another point being nearer; a line below it.
_TURNED, _FURTHER, _AMBIGUOUS, _CROSSED = 1.0, 0.5, 1.5, 0.6


class Rect(NamedTuple):
    """Whole pixels of an image; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


class Places:
    """Keeps account of the boxes and tags of one image.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.

    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._boxes: list[Box] = []
        self._boxes_array = _array([])
        self._tags = _array([])
        self._covered = 0

    def mark(self, box: Box) -> None:
        """Remember a box, x1 y1 x2 y2 within the image, that tags should leave visible."""
        self._boxes.append(box)

    def take(self, rect: Rect) -> None:
        """Remember a tag, which later tags must not cover."""
        self._tags = np.vstack([self._tags, rect])
        self._covered += rect.area

    def affords(self, area: int) -> bool:
        """Tell whether tags of *area* pixels more leave enough of the image visible."""
        return self._covered + area <= _BUDGET * self.width * self.height

    def is_free(self, rect: Rect) -> bool:
        """Tell whether *rect* lies within the image and covers no tag."""
        inside = rect.left >= 0 and rect.top >= 0 and rect.right <= self.width and rect.bottom <= self.height
        return inside and not (_overlaps(np.array([rect], float), self._tags) > 0).any()

    def find(self, size: tuple[int, int], box: Box, *, anyway: bool = False) -> Rect | None:
        """Return the best place of a tag at its box: above it, inside, below or beside.

        Args:
            size: Width and height of the tag in pixels.
            box: x1 y1 x2 y2 of the box in pixels, within the image.
            anyway: Whether a place is demanded, on other tags if need be.

        Returns:
            The place, None where a tag would hide too much.

        """
        width, height = size
        if not anyway and (width > self.width or height > self.height or not self.affords(width * height)):
            return None
        places = self._candidates(size, box, slide=anyway)
        if not len(places):
            return None
        hidden = _overlaps(places, self._tags).sum(axis=1)
        boxes = self._boxes_with(box)
        shares = _overlaps(places, boxes) / np.maximum(_areas(boxes), 1)
        costs = np.arange(len(places)) * _NEXT_CHOICE + shares.sum(axis=1)
        if anyway:
            costs = costs + 100 * hidden / max(width * height, 1)
        else:
            limits = np.where((boxes == box).all(axis=1), _OWN, _OTHER)
            costs[(hidden > 0) | (shares > limits).any(axis=1)] = np.inf
        best = int(costs.argmin())
        return Rect(*map(int, places[best])) if np.isfinite(costs[best]) else None

    def _boxes_with(self, box: Box) -> NDArray[np.float64]:
        """Return the marked boxes (N, 4), among them *box*."""
        if len(self._boxes_array) != len(self._boxes):
            self._boxes_array = _array(self._boxes)
        return self._boxes_array if box in self._boxes else np.vstack([self._boxes_array, box])

    def _candidates(self, size: tuple[int, int], box: Box, *, slide: bool) -> NDArray[np.float64]:
        """Return places (K, 4) for a tag at a box, best first; those that leave the image are left out or *slide*."""
        width, height = size
        left, top, right, bottom = (round(value) for value in box)
        middle = (left + right - width) // 2
        corners = np.array(
            [
                (left - 1, top - height),  # above
                (left - 1, top - 1),  # inside
                (right + 2 - width, top - height),
                (right + 2 - width, top - 1),
                (left - 1, bottom + 1),  # below
                (right + 2 - width, bottom + 1),
                (right + 1, top - 1),  # beside
                (left - width, top - 1),
                (left - 1, bottom + 2 - height),
                (right + 2 - width, bottom + 2 - height),
                (middle, top - height),
                (middle, top - 1),
                (middle, bottom + 2 - height),
            ],
            float,
        )
        if not slide:
            # The rim of a box that ends with the image lies outside.
            corners = corners[(corners[:, 1] >= -1) & (corners[:, 1] + height <= self.height + 2)]
        limits = np.maximum((self.width - width, self.height - height), 0)
        corners = np.clip(corners, 0, limits)
        return np.hstack([corners, corners + size])


def beside_points(
    points: NDArray[np.float64],
    sizes: NDArray[np.float64],
    centres: NDArray[np.float64],
    *,
    lines: NDArray[np.float64],
    gap: float,
    bounds: tuple[int, int],
) -> NDArray[np.float64] | None:
    """Return a place for a text beside each point, away from a centre, on no other text and on no point.

    Args:
        points: (P, 2) x y in pixels.
        sizes: (P, 2) width and height of each text.
        centres: (P, 2) what each text is to stand away from.
        lines: (M, 2) places along lines, which texts leave visible as far as they can.
        gap: Radius of a point in pixels.
        bounds: Width and height of the image.

    Returns:
        (P, 2) the left upper corner of each text; None where there is not room for all.

    """
    blocks = np.hstack([points - gap, points + gap])  # the points, later also the texts
    crossed = np.hstack([lines, lines + 1])
    corners = np.empty_like(points)
    for index, (point, size, centre) in enumerate(zip(points, sizes, centres, strict=True)):
        middles, costs = _round_a_point(point, size, centre, gap)
        places = np.hstack([middles - size / 2, middles + size / 2])
        around = np.array([[*places[:, :2].min(axis=0), *places[:, 2:].max(axis=0)]])
        near_blocks, near_lines = (rects[_overlaps(around, rects)[0] > 0] for rects in (blocks, crossed))
        distances = np.linalg.norm(middles[:, None] - points[None], axis=2)
        costs += _AMBIGUOUS * (distances.argmin(axis=1) != index)
        costs += _CROSSED * (_overlaps(places, near_lines) > 0).any(axis=1)
        outside = (places[:, :2] < 0).any(axis=1) | (places[:, 2:] > bounds).any(axis=1)
        costs[outside | (_overlaps(places, near_blocks) > 0).any(axis=1)] = np.inf
        best = int(costs.argmin())
        if not np.isfinite(costs[best]):
            return None
        blocks = np.vstack([blocks, places[best]])
        corners[index] = places[best, :2]
    return corners


def _round_a_point(
    point: NDArray[np.float64], size: NDArray[np.float64], centre: NDArray[np.float64], gap: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return middles (K, 2) of places for a text round a point, and what each costs (K,)."""
    outward = point - centre
    length = float(np.linalg.norm(outward))
    outward = outward / length if length > 0 else np.array([0.0, -1.0])
    directions = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    turned = _TURNED * (1 - directions @ outward) / 2
    # At distance 0 the text touches the square round the point.
    reach = 1 / np.maximum(np.abs(directions) / (size / 2 + gap + 1), 1e-9).max(axis=1)
    middles = [point + directions * (reach + step * size[1])[:, None] for step in _DISTANCES]
    costs = [turned + _FURTHER * number for number in range(len(_DISTANCES))]
    return np.concatenate(middles), np.concatenate(costs)


def font_sizes(largest: int, smallest: int) -> Iterator[int]:
    """Yield font sizes to try, from the largest in steps of a sixth to the smallest."""
    size = max(largest, smallest)
    while size > smallest:
        yield size
        size = max(smallest, min(size - 1, size * 5 // 6))
    yield smallest


def _array(rects: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.array(rects, float).reshape(-1, 4)


def _areas(rects: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1])
    return areas


def _overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many pixels each of *a* (M, 4) shares with each of *b* (N, 4), as (M, N)."""
    widths = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    heights = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    shared: NDArray[np.float64] = np.clip(widths, 0, None) * np.clip(heights, 0, None)
    return shared
