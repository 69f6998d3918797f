"""Draws a scene: shapes on a background, with clutter, occlusion, blur and noise, and their boxes. All from one seed.

A box is the smallest one around the pixels of a shape that can be seen. At least half of every shape can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .fills import background, fill, random_colour
from .outlines import OUTLINES, Outline

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]

CLASSES = tuple(OUTLINES)
_VISIBLE = 0.5
_CONTRAST = 45.0
_MOST_SHAPES = 9
# Extent of a shape as a share of the picture's geometric mean side.
_SMALLEST, _LARGEST = 0.07, 0.6
# Fraction bits of cv2's drawing coordinates.
_BITS = 4


@dataclass(frozen=True)
class Scene:
    """A picture and what is on it.

    Attributes:
        image: (h, w, 3) uint8, B G R.
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels, around what can be seen of each shape.
        class_ids: (N,) int64, indices of the classes that were asked for.

    """

    image: Image
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]


@dataclass
class _Placed:
    class_id: int
    visible: Mask
    area: float


def size_of(seed: int, number: int) -> tuple[int, int]:
    """Return height and width of a scene that weights are scored on, 320 to 640 pixels a side."""
    height, width = np.random.default_rng([seed, number, 0]).integers(320, 641, 2)
    return int(height), int(width)


def draw_scene(
    seed: int | Sequence[int],
    size: tuple[int, int],
    *,
    photos: Sequence[str],
    classes: Sequence[str] = CLASSES,
    photo: Image | None = None,
) -> Scene:
    """Draw a scene.

    Args:
        seed: Everything follows from it, the size and the lists.
        size: Height and width in pixels.
        photos: Names of the photographs of `shapes.photos` that may be the background or a texture.
        classes: The shapes to draw; an index into it is a class id.
        photo: (h, w, 3) uint8 B G R to draw on as it is, whatever *size* says; None: a background from *photos* or
            made up, and clutter.

    """
    rng = np.random.default_rng(seed)
    canvas = (background(rng, size, photos) if photo is None else photo).astype(np.float32)
    placed: list[_Placed] = []
    if photo is None:
        for _ in range(int(rng.integers(0, 9))):
            _clutter(rng, canvas, [])
    for _ in range(int(rng.integers(0, _MOST_SHAPES + 1))):
        _place(rng, canvas, placed, photos, classes)
    for _ in range(int(rng.integers(0, 4)) if photo is None else 0):
        _clutter(rng, canvas, placed)
    boxes = [_bounds(item.visible) for item in placed]
    return Scene(
        _degrade(rng, canvas),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array([item.class_id for item in placed], dtype=np.int64),
    )


def _place(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    placed: list[_Placed],
    photos: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Draw one more shape where it hides no other too much; nothing where no such place is found."""
    height, width = canvas.shape[:2]
    class_id = int(rng.integers(len(classes)))
    side = float(np.sqrt(height * width))
    for _ in range(6):
        radius = side * float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST)))) / 2
        centre = rng.uniform((0.4 * radius, 0.4 * radius), (width - 0.4 * radius, height - 0.4 * radius))
        mask, area = _mask(_pose(rng, OUTLINES[classes[class_id]], radius, centre), (height, width))
        if mask.sum() < max(_VISIBLE * area, 30.0) or _hides(mask, placed):
            continue
        part = _extent(mask)
        window, cover = canvas[part], mask[part]
        texture = fill(rng, cover, photos, radius)
        inside = cover > 0.5
        if np.abs(texture[inside].mean(axis=0) - window[inside].mean(axis=0)).max() < _CONTRAST:
            continue
        if rng.random() < 0.3:
            _shadow(rng, canvas, mask, radius)
        _blend(window, texture, cover * np.float32(rng.choice([1.0, rng.uniform(0.8, 1.0)])))
        _cover(mask, placed)
        placed.append(_Placed(class_id, mask, area))
        return


def _pose(rng: np.random.Generator, outline: Outline, radius: float, centre: NDArray[np.float64]) -> Outline:
    """Turn, stretch and shear an outline a little, and put it in place; any rotation, now and then a mirror image."""
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bend = np.array([[rng.uniform(0.85, 1.0), rng.uniform(-0.12, 0.12)], [0.0, rng.uniform(0.85, 1.0)]])
    matrix = radius * turn @ bend
    return [part @ matrix.T + centre for part in outline]


def _mask(outline: Outline, size: tuple[int, int]) -> tuple[Mask, float]:
    """Return the (h, w) coverage 0..1 of an outline, and its whole area in pixels, also of what lies outside."""
    mask = np.zeros(size, dtype=np.uint8)
    points = [np.round(part * 2**_BITS).astype(np.int32) for part in outline]
    cv2.fillPoly(mask, points, 255, cv2.LINE_AA, _BITS)
    areas = [abs(cv2.contourArea(part.astype(np.float32))) for part in outline]
    return mask.astype(np.float32) / np.float32(255), areas[0] - sum(areas[1:])


def _hides(mask: Mask, placed: Sequence[_Placed]) -> bool:
    return any(float((item.visible * (1 - mask)).sum()) < _VISIBLE * item.area for item in placed)


def _cover(mask: Mask, placed: Sequence[_Placed]) -> None:
    for item in placed:
        item.visible = item.visible * (1 - mask)


def _extent(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that a mask reaches."""
    x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    return slice(y, y + height), slice(x, x + width)


def _bounds(visible: Mask) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect((visible > 0.5).astype(np.uint8))
    return x, y, x + width, y + height


def _blend(canvas: NDArray[np.float32], colour: NDArray[np.float32], mask: Mask) -> None:
    canvas += mask[..., None] * (colour - canvas)


def _shadow(rng: np.random.Generator, canvas: NDArray[np.float32], mask: Mask, radius: float) -> None:
    shift = np.float32([[1, 0, radius * rng.uniform(-0.15, 0.15)], [0, 1, radius * rng.uniform(0.0, 0.2)]])
    moved = cv2.warpAffine(mask, shift, mask.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), 1 + radius * 0.06)
    part = _extent(soft)
    canvas[part] *= 1 - np.float32(rng.uniform(0.2, 0.6)) * soft[part][..., None]


def _clutter(rng: np.random.Generator, canvas: NDArray[np.float32], placed: Sequence[_Placed]) -> None:
    """Draw something that is no shape, under all shapes or over those that are *placed*."""
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), dtype=np.uint8)
    scale = float(np.sqrt(height * width))
    start = rng.uniform((0, 0), (width, height))
    kind = int(rng.integers(4))
    if kind == 0:  # a bent line
        points = start + np.cumsum(rng.normal(0, 0.15 * scale, (int(rng.integers(2, 6)), 2)), axis=0)
        cv2.polylines(
            mask, [np.int32(points)], False, 255, int(rng.integers(1, max(2, int(0.02 * scale)) + 1)), cv2.LINE_AA
        )
    elif kind == 1:  # a long bar
        extent = scale * rng.uniform((0.1, 0.01), (0.5, 0.03))
        corners = cv2.boxPoints((tuple(map(float, start)), tuple(map(float, extent)), float(rng.uniform(0, 180))))
        cv2.fillPoly(mask, [np.int32(corners)], 255, cv2.LINE_AA)
    elif kind == 2:  # a flat ellipse
        long = scale * rng.uniform(0.05, 0.2)
        axes = (max(2, int(long)), max(1, int(long * rng.uniform(0.15, 0.45))))
        cv2.ellipse(mask, tuple(map(int, start)), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    else:  # letters
        word = "".join(chr(code) for code in rng.integers(ord("A"), ord("Z") + 1, int(rng.integers(1, 6))))
        size = scale * rng.uniform(0.001, 0.006)
        cv2.putText(
            mask, word, tuple(map(int, start)), int(rng.integers(0, 8)), size, 255, int(rng.integers(1, 4)), cv2.LINE_AA
        )
    cover = mask.astype(np.float32) / np.float32(255)
    if not _hides(cover, placed):
        part = _extent(cover)
        _blend(canvas[part], random_colour(rng), cover[part])
        _cover(cover, placed)


def _degrade(rng: np.random.Generator, canvas: NDArray[np.float32]) -> Image:
    """Change light, sharpness and noise as a camera does, and compress."""
    side = float(np.sqrt(canvas.shape[0] * canvas.shape[1]))
    canvas = (canvas - 128) * rng.uniform(0.7, 1.15) + 128 + rng.uniform(-25, 25)
    chance = rng.random()
    if chance < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), 0.3 + side * rng.uniform(0.0005, 0.005))
    elif chance < 0.45:
        canvas = cv2.filter2D(canvas, -1, _motion(rng, max(2, int(side * rng.uniform(0.005, 0.025)))))
    if rng.random() < 0.5:
        canvas = canvas + rng.normal(0, rng.uniform(1, 12), canvas.shape).astype(np.float32)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image


def _motion(rng: np.random.Generator, length: int) -> NDArray[np.float32]:
    """Return a kernel that smears along a line of *length* pixels."""
    size = 2 * length + 1
    kernel = np.zeros((size, size), dtype=np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    ends = [tuple(map(int, np.rint(length + sign * reach))) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()
