"""Drawing results onto pictures. Every mark has a dark rim, so that it shows on dark and on light pictures alike."""

from __future__ import annotations

import colorsys
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...models.landmarks68.contours import CONTOURS
from ...models.results import Detections, Landmarks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ...models.results import Classification, Result

Colour: TypeAlias = tuple[int, int, int]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Steps of the golden ratio round the colour circle keep neighbouring classes apart, however many there are.
_HUE_STEP = 0.618034
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
# Classes that are written onto a picture; the others have little to say.
_TOP = 5
# Points that would fit side by side into a face, at their largest.
_DOTS = 80
# No font has a character of this number: what it draws is what it draws for all that it has not.
_NO_CHARACTER = "\U0010ffff"


class _Style(NamedTuple):
    """What fits a picture of a certain size, in pixels.

    Attributes:
        line: Width of a line; a rim is one pixel more on each side.
        dot: Radius of a point at most.
        font: Of tags.
        small: Of numbers beside points.

    """

    line: int
    dot: int
    font: Font
    small: Font


def draw(
    image: NDArray[np.uint8],
    result: Result,
    *,
    contours: bool = False,
    numbers: bool = False,
    names: Mapping[str, str] | None = None,
    note: str = "",
    labels_shown: str = "auto",  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return a copy of the picture with the result drawn on it.

    Args:
        image: (h, w, 3) uint8, B G R.
        result: What was found in it, in its pixels.
        contours: Join the 68 points of a face to the contours of its parts.
        numbers: Write its number, 0 to 67, beside each point.
        names: What to write instead of a class name, such as ``get_model("emotion").translations["zh"]``. A name that
            no font here can write is replaced by the number of its class.
        note: Written into the bottom-left corner.
        labels_shown: "auto", "all" or "none".

    """
    canvas = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    labels = () if isinstance(result, Landmarks) else result.labels
    written = {label: (names or {}).get(label, label) for label in labels}
    style = _style(min(canvas.size), "".join(written.values()))
    if isinstance(result, Detections):
        _draw_detections(canvas, result, style, written)
    elif isinstance(result, Landmarks):
        _draw_landmarks(canvas, result, style, contours=contours, numbers=numbers)
    else:
        _draw_classes(canvas, result, style, written)
    if note:
        _draw_tag(canvas, note, (0, canvas.height), _WHITE, style.font)
    return np.asarray(cv2.cvtColor(np.asarray(canvas), cv2.COLOR_RGB2BGR), np.uint8)


def _style(side: int, text: str) -> _Style:
    """Return the style for a picture whose shorter side this is, with fonts that can write *text*."""
    small = ImageFont.load_default(max(8, side // 64))
    return _Style(max(1, round(side / 250)), max(1, round(side / 200)), _font(text, max(10, round(side / 32))), small)


def _font(text: str, size: int) -> Font:
    """Return Pillow's own font, or the Chinese one where that is needed and there."""
    font = ImageFont.load_default(size)
    path = chinese_font()
    return font if path is None or _can_write(font, text) else ImageFont.truetype(path, size)


def _can_write(font: Font, text: str) -> bool:
    """Tell whether a font has every character of *text*: what it has not comes out as one and the same box."""
    box = bytes(font.getmask(_NO_CHARACTER))
    return all(character.isspace() or bytes(font.getmask(character)) != box for character in set(text))


def _name(names: Mapping[str, str], label: str, class_id: int, font: Font) -> str:
    return names[label] if _can_write(font, names[label]) else f"#{class_id}"


@lru_cache(maxsize=1)
def chinese_font() -> Path | None:
    """Return the font file (Noto Sans SC, SIL Open Font License) that the package zhplot brings, if it is installed."""
    package = importlib.util.find_spec("zhplot")  # found, not imported: that would load matplotlib
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "fonts" / "NotoSansSC-Regular.ttf"
    return path if path.is_file() else None


def _draw_detections(canvas: Image.Image, detections: Detections, style: _Style, names: Mapping[str, str]) -> None:
    pen = ImageDraw.Draw(canvas)
    # The best is drawn last, over the others.
    rows = list(zip(detections.labels, detections.class_ids, detections.scores, detections.boxes, strict=True))
    for label, class_id, score, box in reversed(rows):
        colour = class_colour(int(class_id))
        _draw_box(pen, box, colour, style.line)
        x1, y1 = float(box[0]), float(box[1])
        _draw_tag(canvas, f"{_name(names, label, int(class_id), style.font)} {score:.2f}", (x1, y1), colour, style.font)


def _draw_box(pen: ImageDraw.ImageDraw, box: NDArray[np.float32], colour: Colour, line: int) -> None:
    x1, y1, x2, y2 = (float(value) for value in box)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_BLACK, width=line + 2)
    pen.rectangle((x1, y1, x2, y2), outline=colour, width=line)


def _draw_landmarks(canvas: Image.Image, faces: Landmarks, style: _Style, *, contours: bool, numbers: bool) -> None:
    pen = ImageDraw.Draw(canvas)
    boxes: Sequence[NDArray[np.float32] | None] = [None] * len(faces) if faces.boxes is None else list(faces.boxes)
    for box, points in zip(boxes, faces.points, strict=True):
        if box is not None:
            _draw_box(pen, box, _WHITE, style.line)
        # A small face in a large picture gets small points.
        dot = max(1, round(min(style.dot, float(np.ptp(points, axis=0).max()) / _DOTS)))
        places = [(float(x), float(y)) for x, y in points]
        if contours:
            _draw_contours(pen, places, min(style.line, dot))
        for index, contour in enumerate(CONTOURS):
            for x, y in (places[point] for point in contour.points):
                for radius, fill in ((dot + 1, _BLACK), (dot, class_colour(index))):
                    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        for number, (x, y) in enumerate(places if numbers else ()):
            place = (x + dot + 1, y - dot - 1)
            pen.text(place, str(number), fill=_WHITE, font=style.small, anchor="ls", stroke_width=1, stroke_fill=_BLACK)


def _draw_contours(pen: ImageDraw.ImageDraw, places: Sequence[tuple[float, float]], width: int) -> None:
    for index, contour in enumerate(CONTOURS):
        back = contour.points[:1] if contour.closed else ()
        line = [places[point] for point in (*contour.points, *back)]
        pen.line(line, fill=_BLACK, width=width + 2, joint="curve")
        pen.line(line, fill=class_colour(index), width=width, joint="curve")


def _draw_classes(canvas: Image.Image, classes: Classification, style: _Style, names: Mapping[str, str]) -> None:
    """Write the best classes into the top-left corner, one tag a line, the best in its colour."""
    y = 0.0
    for rank, index in enumerate(classes.order()[:_TOP]):
        label = classes.labels[index]
        text = f"{_name(names, label, index, style.font)} {classes.scores[index]:.2f}"
        colour = class_colour(index) if rank == 0 else _WHITE
        y = _draw_tag(canvas, text, (0, y), colour, style.font, below=True)


def _draw_tag(
    canvas: Image.Image,
    text: str,
    corner: tuple[float, float],
    colour: Colour,
    font: Font,
    *,
    below: bool = False,
) -> float:
    """Write *text* on a filled tag above the corner, or *below* it, moved to stay in the picture; return its bottom."""
    pen = ImageDraw.Draw(canvas)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, round((bottom - top) / 5))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(corner[0], 0), max(canvas.width - width, 0))
    y = corner[1] if below or corner[1] < height else corner[1] - height
    pen.rectangle((x, y, x + width, y + height), fill=colour, outline=_BLACK)
    ink = _BLACK if float(_LUMA @ np.array(colour)) > 127.5 else _WHITE  # noqa: PLR2004
    pen.text((x + pad - left, y + pad - top), text, fill=ink, font=font)
    return y + height


def class_colour(class_id: int) -> Colour:
    """Return the R, G, B colour of a class, the same in every picture."""
    red, green, blue = colorsys.hsv_to_rgb((0.33 + class_id * _HUE_STEP) % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
