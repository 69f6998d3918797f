"""Drawing results onto pictures."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..models.results import Detections, Result

    Colour = tuple[int, int, int]

# Steps of the golden ratio round the colour circle keep neighbouring classes apart, however many there are.
_HUE_STEP = 0.618034
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def draw(image: NDArray[np.uint8], result: Result) -> NDArray[np.uint8]:
    """Return a copy of the picture with the result drawn on it.

    Args:
        image: (h, w, 3) uint8, B G R.
        result: What was found in it, in its pixels.

    """
    canvas = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    _draw_detections(canvas, result)
    return np.asarray(cv2.cvtColor(np.asarray(canvas), cv2.COLOR_RGB2BGR), np.uint8)


def _draw_detections(canvas: Image.Image, detections: Detections) -> None:
    pen = ImageDraw.Draw(canvas)
    side = min(canvas.size)
    line = max(1, round(side / 250))
    font = ImageFont.load_default(size=max(10, round(side / 32)))
    # The best is drawn last, over the others.
    rows = list(zip(detections.labels, detections.class_ids, detections.scores, detections.boxes, strict=True))
    for label, class_id, score, box in reversed(rows):
        colour = class_colour(int(class_id))
        x1, y1, x2, y2 = (float(value) for value in box)
        # A dark rim keeps a bright line visible on a bright picture.
        pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=(0, 0, 0), width=line + 2)
        pen.rectangle((x1, y1, x2, y2), outline=colour, width=line)
        _draw_tag(canvas, f"{label} {score:.2f}", (x1, y1), colour, font)


def _draw_tag(
    canvas: Image.Image,
    text: str,
    corner: tuple[float, float],
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Write *text* on a filled tag that sits on the corner, moved so that it stays inside the picture."""
    pen = ImageDraw.Draw(canvas)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, round((bottom - top) / 5))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = min(max(corner[0], 0), max(canvas.width - width, 0))
    y = corner[1] - height if corner[1] >= height else corner[1]
    pen.rectangle((x, y, x + width, y + height), fill=colour, outline=(0, 0, 0))
    ink = (0, 0, 0) if float(_LUMA @ np.array(colour)) > 127.5 else (255, 255, 255)  # noqa: PLR2004
    pen.text((x + pad - left, y + pad - top), text, fill=ink, font=font)


def class_colour(class_id: int) -> Colour:
    """Return the R, G, B colour of a class, the same in every picture."""
    red, green, blue = colorsys.hsv_to_rgb((0.33 + class_id * _HUE_STEP) % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
