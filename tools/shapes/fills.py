"""Colours and textures of backgrounds and shapes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .photos import read_photo

Pixels = NDArray[np.float32]


def random_colour(rng: np.random.Generator) -> Pixels:
    """Return a (3,) B G R colour 0..255; half of them vivid."""
    if rng.random() < 0.5:
        return rng.uniform(0, 255, 3).astype(np.float32)
    hsv = np.array([[[rng.integers(0, 180), rng.integers(140, 256), rng.integers(90, 256)]]], dtype=np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)


def background(rng: np.random.Generator, size: tuple[int, int], photos: Sequence[str]) -> Pixels:
    """Return (h, w, 3) float32 to draw on: mostly a crop of a photograph, else a gradient with soft blotches."""
    if photos and rng.random() < 0.65:
        return _crop(rng, size, photos)
    canvas = _gradient(rng, size)
    if rng.random() < 0.6:
        grid = tuple(int(n) for n in rng.integers(2, 10, 2))
        blotches = rng.normal(0, rng.uniform(5, 45), (*grid, 3)).astype(np.float32)
        canvas += cv2.resize(blotches, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(canvas, 0, 255)


def fill(rng: np.random.Generator, mask: NDArray[np.float32], photos: Sequence[str], radius: float) -> Pixels:
    """Return (h, w, 3) float32 to fill a shape with: a colour, a gradient, stripes or a photograph, some with a rim."""
    size = mask.shape[:2]
    chance = rng.random()
    if chance < 0.45:
        pixels = np.broadcast_to(random_colour(rng), (*size, 3)).copy()
    elif chance < 0.7:
        pixels = _gradient(rng, size)
    elif chance < 0.85 or not photos:
        pixels = _stripes(rng, size, radius)
    else:
        pixels = _crop(rng, size, photos)
    if rng.random() < 0.3:
        inside = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=max(1, int(radius * rng.uniform(0.04, 0.15))))
        pixels += (1 - inside)[..., None] * (random_colour(rng) - pixels)
    return pixels


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    ramp = _ramp(rng, size)
    low, high = random_colour(rng), random_colour(rng)
    span = np.ptp(ramp) or 1
    share = (ramp - ramp.min()) / span
    return low + share[..., None] * (high - low)


def _stripes(rng: np.random.Generator, size: tuple[int, int], radius: float) -> Pixels:
    ramp = _ramp(rng, size) / np.float32(max(3.0, radius * rng.uniform(0.2, 0.6)))
    low, high = random_colour(rng), random_colour(rng)
    return np.where((ramp % 1 < 0.5)[..., None], low, high)


def _ramp(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Return (h, w) float32 that grows by 1 a pixel in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows * np.sin(angle) + columns * np.cos(angle)).astype(np.float32)


def _crop(rng: np.random.Generator, size: tuple[int, int], photos: Sequence[str]) -> Pixels:
    """Return a part of a photograph, scaled, now and then mirrored or in other colours."""
    photo = read_photo(photos[int(rng.integers(len(photos)))])
    height, width = photo.shape[:2]
    part = min(height / size[0], width / size[1]) * rng.uniform(0.35, 1.0)
    rows, columns = max(2, int(size[0] * part)), max(2, int(size[1] * part))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    crop = cv2.resize(
        photo[top : top + rows, left : left + columns],
        size[::-1],
        interpolation=cv2.INTER_AREA if part > 1 else cv2.INTER_LINEAR,
    )
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    pixels = crop.astype(np.float32)
    if rng.random() < 0.4:
        pixels = pixels[..., rng.permutation(3)] * rng.uniform(0.6, 1.2, 3).astype(np.float32)
    return np.clip(pixels, 0, 255)
