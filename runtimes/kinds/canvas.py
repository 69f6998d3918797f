"""What a kind of result draws itself with: a copy of an image, and marks in sizes that fit it.

Every mark has a dark rim, so that it shows on dark and on light images alike. A kind gives the rows best first; tags
are placed in that order and drawn when all else is there, the first over the others:

    def draw(canvas: Canvas, result: MyResult, style: Style) -> None:
        for row in result:
            canvas.box(row.box, class_colour(row.class_id))
        for row in result:
            canvas.tag((f"{row.label} {row.score:.2f}", f"{row.score:.2f}"), row.box, class_colour(row.class_id))
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import cv2
import numpy as np

from . import fonts
from .places import Box, Places, Rect, beside_points, font_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Colour: TypeAlias = tuple[int, int, int]
LabelsShown: TypeAlias = Literal["auto", "all", "none"]
ColourBy: TypeAlias = Literal["class", "instance"]

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# Steps of the golden ratio round the colour circle keep neighbouring classes apart, however many there are.
_HUE_STEP = 0.618034
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
# Sizes of the text of tags, in pixels and in shares of the image's shorter side.
_LARGEST, _LARGE_SHARE = 10, 1 / 32
_SMALLEST, _SMALL_SHARE = 9, 1 / 64
# The smallest text that can still be guessed, for what must be written; and the smallest number beside a point.
_TINY, _NUMBER = 6, 8
# Places on a line that are looked at for keeping numbers off it.
_SAMPLES = 5
# Coordinates that OpenCV takes; it draws subpixels in steps of 1 / 2**_SHIFT.
_FARTHEST, _SHIFT = 1e5, 4


@dataclass(frozen=True)
class Style:
    """How a result is to be drawn.

    Attributes:
        contours: Join points to lines where it is known which.
        numbers: Write numbers beside points.
        names: What to write instead of some labels.
        colour_by: A colour for each class, or for each detection, face or other instance.

    """

    contours: bool = False
    numbers: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    colour_by: ColourBy = "class"

    def name(self, label: str, class_id: int) -> str:
        """Return what to write for a class: its name, else its label, else its number where no font has these."""
        for text in (self.names.get(label, label), label):
            if fonts.can_write(text):
                return text
        return f"#{class_id}"

    def colour(self, class_id: int, instance: int) -> Colour:
        """Return the colour of an instance, which is the one of its class unless asked for otherwise."""
        return class_colour(instance if self.colour_by == "instance" else class_id)


class _Tag(NamedTuple):
    """A tag that has its place."""

    text: str
    size: int
    rect: Rect
    colour: Colour


class Canvas:
    """A copy of an image, and the marks on it.

    Coordinates are pixels of the image and may lie outside; marks at places that are no numbers are left out. Colours
    are R, G, B.

    Attributes:
        width: Of the image in pixels.
        height: Of the image in pixels.
        line: Width of a line that fits the image; a rim is one pixel more on each side.
        dot: Largest radius of a point that fits the image.

    Args:
        image: (h, w, 3) uint8, B G R.
        labels_shown: ``auto`` shortens tags or leaves them out where there is no room, ``all`` draws each of them and
            shortens those that are wider than the image, ``none`` draws none.

    """

    def __init__(self, image: NDArray[np.uint8], labels_shown: LabelsShown = "auto") -> None:
        self._pixels = np.array(image, np.uint8, order="C")
        self._shown = labels_shown
        self.height, self.width = image.shape[:2]
        side = min(self.width, self.height)
        self.line = max(1, round(side / 250))
        self.dot = max(1, round(side / 200))
        self._largest = max(_LARGEST, round(side * _LARGE_SHARE))
        self._smallest = max(_SMALLEST, round(side * _SMALL_SHARE))
        self._places = Places(self.width, self.height)
        self._tags: list[_Tag] = []

    def image(self) -> NDArray[np.uint8]:
        """Return the image with all marks, (h, w, 3) uint8, B G R."""
        while self._tags:
            self._write_tag(self._tags.pop())
        return self._pixels

    def box(self, box: Sequence[float] | NDArray[np.float32], colour: Colour, width: int | None = None) -> None:
        """Draw the edges of a box, x1 y1 x2 y2. Tags keep clear of it as far as they can."""
        values = [float(value) for value in box]
        if not all(map(math.isfinite, values)):
            return
        line = self.line if width is None else width
        left, top, right, bottom = (round(min(max(value, -_FARTHEST), _FARTHEST)) for value in values)
        # A box that ends with the image has its edge on the last pixel.
        right, bottom = right - (right == self.width), bottom - (bottom == self.height)
        self._frame(Rect(left - 1, top - 1, right + 2, bottom + 2), BLACK, line + 2)
        self._frame(Rect(left, top, right + 1, bottom + 1), colour, line)
        self._places.mark(self._within(values))

    def points(self, points: NDArray[np.float32], colours: Colour | list[Colour], radius: float | None = None) -> None:
        """Draw points (P, 2), x y, in one colour or in one for each."""
        dot = self.dot if radius is None else radius
        each = colours if isinstance(colours, list) else [colours] * len(points)
        for place, colour in zip(points, each, strict=True):
            if np.isfinite(place).all():
                centre = self._subpixels(place)
                for size, fill in ((dot + 1, BLACK), (dot, colour)):
                    cv2.circle(self._pixels, centre, round(size * 2**_SHIFT), _bgr(fill), -1, cv2.LINE_AA, _SHIFT)

    def lines(
        self, points: NDArray[np.float32], colour: Colour, *, closed: bool = False, width: int | None = None
    ) -> None:
        """Draw lines from each of the points (P, 2) to the next, and from the last to the first where *closed*."""
        line = self.line if width is None else width
        places = [self._subpixels(place) for place in points if np.isfinite(place).all()]
        if len(places) < 2:  # noqa: PLR2004
            return
        for size, fill in ((line + 2, BLACK), (line, colour)):
            cv2.polylines(self._pixels, [np.array(places, np.int32)], closed, _bgr(fill), size, cv2.LINE_AA, _SHIFT)

    def numbers(
        self,
        points: NDArray[np.float32],
        away_from: NDArray[np.float32],
        edges: Sequence[tuple[int, int]] = (),
        gap: float = 1,
    ) -> bool:
        """Write its number, from 0, beside each of the points (P, 2) that lie in the image.

        Args:
            points: (P, 2) x y.
            away_from: (P, 2) or (2,) places on whose far side the numbers are to stand.
            edges: Pairs of points with a line between them, which numbers leave visible as far as they can.
            gap: Radius of the points in pixels.

        Returns:
            Whether there was room for all of them at a size that can be read; if not, none is written.

        """
        inside = ((points >= 0) & (points < (self.width, self.height))).all(axis=1)
        places, centres = points[inside].astype(float), np.broadcast_to(away_from, points.shape)[inside].astype(float)
        texts = [str(number) for number in np.flatnonzero(inside)]
        lines = np.concatenate([np.linspace(points[a], points[b], _SAMPLES) for a, b in edges] or [np.empty((0, 2))])
        for size in font_sizes(self._smallest, _NUMBER):
            extents = [fonts.extent(text, size) for text in texts]
            sizes = np.array([(each.width + 2, each.height + 2) for each in extents], float).reshape(-1, 2)
            corners = beside_points(places, sizes, centres, lines=lines, gap=gap + 1, bounds=(self.width, self.height))
            if corners is not None:
                for text, (x, y) in zip(texts, corners.round().astype(int).tolist(), strict=True):
                    self._blend(fonts.coverage(text, size, rim=1), x, y, BLACK)
                    self._blend(fonts.coverage(text, size), x + 1, y + 1, WHITE)
                return True
        return False

    def tag(self, texts: Sequence[str], box: Sequence[float] | NDArray[np.float32], colour: Colour) -> bool:
        """Put a tag at a box, where it hides no other tag and little else; tell whether there is one.

        Args:
            texts: What to write, the longest first; where there is no room for one, the next is tried.
            box: x1 y1 x2 y2 of what the tag belongs to.
            colour: Of the tag.

        """
        written = [text for text in map(_one_line, texts) if text]
        values = [float(value) for value in box]
        if self._shown == "none" or not written or not all(map(math.isfinite, values)):
            return False
        within = self._within(values)
        for text in written if self._shown == "auto" else written[:1]:
            for size in self._sizes_for(text, within):
                rect = self._places.find(self._tag_size(text, size), within)
                if rect is not None:
                    self._put(_Tag(text, size, rect, colour))
                    return True
        if self._shown == "all":
            text = self._narrow(written, self._smallest)
            rect = self._places.find(self._tag_size(text, self._smallest), within, anyway=True)
            if rect is not None:
                self._put(_Tag(text, self._smallest, rect, colour))
        return self._shown == "all"

    def column(self, rows: Sequence[tuple[Sequence[str], Colour]]) -> int:
        """Write tags below each other into the upper left corner, as many of the first as there is room for.

        Args:
            rows: What to write, the longest first, and the colour of each tag.

        Returns:
            How many there are.

        """
        demanded = self._shown == "all"
        if self._shown == "none":
            return 0
        tags: list[_Tag] = []
        for size in font_sizes(self._largest, _TINY if demanded else self._smallest):
            tags = self._stacked(
                [(self._narrow(list(map(_one_line, texts)), size), colour) for texts, colour in rows], size
            )
            affordable = demanded or self._places.affords(sum(tag.rect.area for tag in tags))
            if affordable and all(self._places.is_free(tag.rect) for tag in tags):
                break
        else:
            tags = tags if demanded else self._as_many_as_fit(rows)
        for tag in tags:
            self._put(tag)
        return len(tags)

    def note(self, text: str) -> None:
        """Write a tag into the lower left corner, whatever labels are shown, in letters that fit the image."""
        text, size = _one_line(text), _TINY
        for size in font_sizes(self._largest, _TINY):
            if self._tag_size(text, size)[0] <= self.width:
                break
        width, height = self._tag_size(text, size)
        self._put(_Tag(text, size, Rect(0, self.height - height, width, self.height), WHITE))

    def _stacked(self, rows: Sequence[tuple[str, Colour]], size: int) -> list[_Tag]:
        """Return tags of one height below each other in the upper left corner."""
        sizes = [self._tag_size(text, size) for text, _ in rows]
        height = max((height for _, height in sizes), default=0)
        return [
            _Tag(text, size, Rect(0, row * height, width, (row + 1) * height), colour)
            for row, ((text, colour), (width, _)) in enumerate(zip(rows, sizes, strict=True))
        ]

    def _as_many_as_fit(self, rows: Sequence[tuple[Sequence[str], Colour]]) -> list[_Tag]:
        """Return tags in small letters for the first rows, with shorter texts where the longer ones do not fit."""
        tags: list[_Tag] = []
        for texts, colour in rows:
            above = [(tag.text, tag.colour) for tag in tags]
            for text in map(_one_line, texts):
                more = self._stacked([*above, (text, colour)], self._smallest)
                affordable = self._places.affords(sum(tag.rect.area for tag in more))
                if affordable and all(self._places.is_free(tag.rect) for tag in more):
                    tags = more
                    break
            else:
                break
        return tags

    def _narrow(self, texts: Sequence[str], size: int) -> str:
        """Return the first of the texts that fits into the width of the image, else the last."""
        return next((text for text in texts if self._tag_size(text, size)[0] <= self.width), texts[-1])

    def _sizes_for(self, text: str, box: Box) -> list[int]:
        """Return font sizes to try for a tag: one that fits the box, and the smallest that can be read well."""
        left, top, right, bottom = box
        width = self._tag_size(text, self._largest)[0]
        fit = min(self._largest, int(self._largest * (right - left) / width), int((bottom - top) / 2))
        return [fit, self._smallest] if fit > self._smallest else [self._smallest]

    def _tag_size(self, text: str, size: int) -> tuple[int, int]:
        extent = fonts.extent(text, size)
        pad = _pad(extent.height)
        return extent.width + 2 * pad, extent.height + 2 * pad

    def _put(self, tag: _Tag) -> None:
        self._places.take(tag.rect)
        self._tags.append(tag)

    def _write_tag(self, tag: _Tag) -> None:
        left, top, right, bottom = tag.rect
        self._fill(tag.rect, BLACK)
        self._fill(Rect(left + 1, top + 1, right - 1, bottom - 1), tag.colour)
        height = fonts.extent(tag.text, tag.size).height
        ink = BLACK if float(_LUMA @ np.array(tag.colour)) > 127.5 else WHITE  # noqa: PLR2004
        above = (bottom - top - height) // 2
        self._blend(fonts.coverage(tag.text, tag.size), left + _pad(height), top + above, ink)

    def _frame(self, rect: Rect, colour: Colour, width: int) -> None:
        """Draw the edges of a rectangle, *width* pixels inwards."""
        left, top, right, bottom = rect
        self._fill(Rect(left, top, right, min(top + width, bottom)), colour)
        self._fill(Rect(left, max(bottom - width, top), right, bottom), colour)
        self._fill(Rect(left, top, min(left + width, right), bottom), colour)
        self._fill(Rect(max(right - width, left), top, right, bottom), colour)

    def _fill(self, rect: Rect, colour: Colour) -> None:
        left, top, right, bottom = rect
        if left < right and top < bottom:
            cv2.rectangle(self._pixels, (left, top), (right - 1, bottom - 1), _bgr(colour), -1)

    def _blend(self, mask: NDArray[np.uint8], left: int, top: int, colour: Colour) -> None:
        """Lay a colour over the image as far as *mask* covers it; what lies outside is cut off."""
        mask = mask[max(-top, 0) : max(self.height - top, 0), max(-left, 0) : max(self.width - left, 0), None]
        top, left = max(top, 0), max(left, 0)
        region = self._pixels[top : top + mask.shape[0], left : left + mask.shape[1]]
        share = mask.astype(np.uint16)
        region[:] = (region * (255 - share) + np.array(_bgr(colour), np.uint16) * share + 127) // 255

    def _within(self, box: Sequence[float] | NDArray[np.float32]) -> tuple[float, float, float, float]:
        """Return the part of a box that lies in the image."""
        left, top, right, bottom = (float(value) for value in box)
        width, height = self.width, self.height
        return (
            min(max(left, 0), width),
            min(max(top, 0), height),
            min(max(right, 0), width),
            min(max(bottom, 0), height),
        )

    @staticmethod
    def _subpixels(place: NDArray[np.float32]) -> tuple[int, int]:
        """Return a point as OpenCV takes it, in 1 / 2**_SHIFT pixels."""
        x, y = (round(float(value) * 2**_SHIFT) for value in np.clip(place, -_FARTHEST, _FARTHEST))
        return x, y


def class_colour(class_id: int) -> Colour:
    """Return the R, G, B colour of a class, the same in every image."""
    red, green, blue = colorsys.hsv_to_rgb((0.33 + class_id * _HUE_STEP) % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _bgr(colour: Colour) -> Colour:
    return colour[::-1]


def _pad(height: int) -> int:
    """Return the pixels between a text of this height and the outside of its tag, the rim included."""
    return max(2, round(height / 4))


def _one_line(text: str) -> str:
    return " ".join(text.split())
