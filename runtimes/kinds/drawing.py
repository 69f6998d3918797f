"""Results drawn on images: one function per built-in kind of result, found through the table of kinds."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

import numpy as np

from ...errors import InputError
from ...models.lazy import resolve
from ...models.results import Chained
from .canvas import WHITE, Canvas, Colour, ColourBy, LabelsShown, Style, class_colour
from .fonts import chinese_font
from .registry import get_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ...models.results import Classification, Contour, Detections, Landmarks, Result

__all__ = ["chinese_font", "class_colour", "draw", "draw_classes", "draw_detections", "draw_landmarks"]

_LOG = logging.getLogger(__name__)

# Classes that are written onto an image; the others have little to say.
_TOP = 5
# Points that would fit side by side into a face, at their largest.
_DOTS = 80


def draw(
    image: NDArray[np.uint8],
    result: Result,
    *,
    contours: bool = False,
    numbers: bool = False,
    names: Mapping[str, str] | None = None,
    note: str = "",
    labels_shown: LabelsShown = "auto",
    colour_by: ColourBy = "class",
) -> NDArray[np.uint8]:
    """Return a copy of the image with the result drawn on it.

    Args:
        image: (h, w, 3) uint8, B G R.
        result: What was found in it, in its pixels.
        contours: Join the points of a face to the lines of their skeleton, where it has lines.
        numbers: Write its number, from 0, beside each point of the faces that are large enough for it.
        names: What to write instead of a class name, such as ``get_model("emotion").translations["zh"]``; a class that
            is not in it keeps its name. A name that no font here can write is replaced by the class name, that by the
            number of its class.
        note: Written into the bottom-left corner, whatever labels are shown.
        labels_shown: ``auto`` shortens labels or leaves them out where there is no room for them, ``all`` writes each
            and shortens those that are wider than the image, ``none`` writes none.
        colour_by: A colour for each ``class`` (for the contours of a face), or for each ``instance``: each detection,
            each face.

    Raises:
        InputError: *labels_shown* or *colour_by* has another value.

    """
    _check("labels_shown", labels_shown, get_args(LabelsShown))
    _check("colour_by", colour_by, get_args(ColourBy))
    canvas = Canvas(image, labels_shown)
    if note:
        canvas.note(note)
    _draw(canvas, result, Style(contours, numbers, names or {}, colour_by))
    return canvas.image()


def _draw(canvas: Canvas, result: Result, style: Style, box: NDArray[np.float32] | None = None) -> None:
    """Draw a result, which may belong to a box that is drawn already, and what others found in its boxes over it."""
    first = result.result if isinstance(result, Chained) else result
    kind = get_kind(result.kind)
    if box is not None and kind.draw_in:
        resolve(kind.draw_in, __package__ or "")(canvas, first, box, style)
    else:
        resolve(kind.draw, __package__ or "")(canvas, first, style)
    if isinstance(result, Chained) and kind.boxes is not None:
        for inner, then in zip(kind.boxes(first), result.then, strict=True):
            if then is not None and not isinstance(then, InputError):
                _draw(canvas, then, style, inner)


def draw_detections(canvas: Canvas, detections: Detections, style: Style) -> None:
    """Draw a box and a tag for each detection, the best over the others."""
    rows = [
        (style.name(label, int(class_id)), float(score), box, style.colour(int(class_id), index))
        for index, (label, class_id, score, box) in enumerate(
            zip(detections.labels, detections.class_ids, detections.scores, detections.boxes, strict=True)
        )
    ]
    for _, _, box, colour in reversed(rows):
        canvas.box(box, colour)
    for name, score, box, colour in rows:
        canvas.tag((f"{name} {score:.2f}", f"{score:.2f}"), box, colour)


def draw_landmarks(canvas: Canvas, faces: Landmarks, style: Style) -> None:
    """Draw the points of each face, its box where it has one, contours and numbers on demand."""
    contours = faces.skeleton.contours if faces.skeleton is not None else ()
    boxes: Sequence[NDArray[np.float32] | None] = [None] * len(faces) if faces.boxes is None else list(faces.boxes)
    for instance, (box, points) in enumerate(zip(boxes, faces.points, strict=True)):
        if box is not None:
            canvas.box(box, style.colour(instance, instance) if style.colour_by == "instance" else WHITE)
        if not np.isfinite(points).all() or not len(points):
            continue
        # A small face in a large image gets small points.
        dot = max(1, round(min(canvas.dot, float(np.ptp(points, axis=0).max()) / _DOTS)))
        if style.contours:
            for index, contour in enumerate(contours):
                line = points[list(contour.points)]
                canvas.lines(line, style.colour(index, instance), closed=contour.closed, width=min(canvas.line, dot))
        canvas.points(points, _point_colours(len(points), contours, style, instance), dot)
        edges = faces.skeleton.edges() if faces.skeleton is not None and style.contours else []
        if style.numbers and not canvas.numbers(points, _middles(points, contours), edges, dot):
            _say_numbers_left_out()


def draw_classes(canvas: Canvas, classes: Classification, style: Style) -> None:
    """Write the best classes into the top-left corner, one tag per line, the best in its colour."""
    rows = []
    for rank, index in enumerate(classes.order()[:_TOP]):
        name = style.name(classes.labels[index], index)
        rows.append(((f"{name} {classes.scores[index]:.2f}", name), class_colour(index) if rank == 0 else WHITE))
    canvas.column(rows)


def draw_landmarks_in(canvas: Canvas, faces: Landmarks, _box: NDArray[np.float32], style: Style) -> None:
    """Draw the points alone: the box is there."""
    draw_landmarks(canvas, replace(faces, boxes=None), style)


def draw_classes_in(canvas: Canvas, classes: Classification, box: NDArray[np.float32], style: Style) -> None:
    """Put a tag with the best class at a box."""
    index = classes.order()[0]
    name = style.name(classes.labels[index], index)
    canvas.tag((f"{name} {classes.scores[index]:.2f}", name), box, class_colour(index))


def _point_colours(count: int, contours: Sequence[Contour], style: Style, instance: int) -> list[Colour]:
    """Return a colour for each point: that of its first contour, one more for points on none."""
    colours = [style.colour(len(contours), instance)] * count
    for index, contour in reversed(list(enumerate(contours))):
        for point in contour.points:
            colours[point] = style.colour(index, instance)
    return colours


def _middles(points: NDArray[np.float32], contours: Sequence[Contour]) -> NDArray[np.float32]:
    """Return for each point what its number stands away from: the middle of its closed contour, else of the face."""
    middles = np.tile((points.min(axis=0) + points.max(axis=0)) / 2, (len(points), 1))
    for contour in contours:
        if contour.closed:
            around = list(contour.points)
            middles[around] = points[around].mean(axis=0)
    return middles


@lru_cache(maxsize=1)
def _say_numbers_left_out() -> None:
    """Tell once in a process, not for each face of a video, that points have no numbers."""
    _LOG.warning("faces that are too small for it are drawn without the numbers of their points")


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{name}={value!r} is not one of {', '.join(known)}", "Give one of them.")
