"""Plain scaling of an image about its pixel (0, 0), to the bit. numpy and cv2.

Target pixel x samples the image at x * w / W, bilinearly, and zeros beyond the last pixel. That is what
cv2.warpPerspective computes from OpenCV 5 on; OpenCV 4 rounds the positions to 1/32 of a pixel, so it is not called
here: the same image gives the same bytes with either.

The definition is in float32 with fused multiply-adds, for each channel of each pixel:

    p = x * float32(w / W), a = p - floor(p), likewise b for rows
    top    = fma(a, image[y0, x0 + 1] - image[y0, x0], image[y0, x0]), likewise bottom in row y0 + 1
    value  = round(fma(b, bottom - top, top)), halves to even

numpy has no fused multiply-add. Multiplying and adding one after the other is off by a few roundings, which matters
only where the value is that close to a half: there it is computed again, in float64.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Indices = NDArray[np.intp]

# The fused and the plain form differ by at most nine roundings of values below 256, which are 2**-17 each.
_DOUBT = 2.0**-13
# With fractions of at most so many bits nothing is ever rounded: 8 bits of a pixel and twice these fit in float32.
_EXACT_BITS = 8
# Values that are worked on together: temporary arrays stay in the cache, and small enough for malloc to keep them.
_BAND = 2**17
# Part of the rows that have to lie between two others for all of them to be treated so.
_MOSTLY = 0.8
# cv2.remap takes 16-bit positions.
_MAX_SIDE = np.iinfo(np.int16).max - 1
# Its second map holds fractions of positions; there are none.
_NO_MAP = np.empty(0, dtype=np.uint16)


class _Axis(NamedTuple):
    """The positions in the image of the target's pixels, along one side.

    Attributes:
        first: (n,) index of the pixel at or before each position.
        fraction: (n,) float32, how far on the way to the next pixel.
        exact: Whether arithmetic with the fractions is exact.

    """

    first: Indices
    fraction: Floats
    exact: bool


class _Band(NamedTuple):
    """Some rows of the target, and the rows of the image that they are computed from, at the target's width.

    Attributes:
        needed: (R,) the rows of the image that take part.
        pixels: (R, W, 2) int16, x and y of the first pixels in them.
        plain: (n,) rows of the target that lie on a row of the image.
        source: (n,) which of the needed rows that is.
        mixed: (m,) rows of the target that lie between two.
        above: (m,) which of the needed rows is the first.
        below: (m,) which is the second.
        down: (m, 1) float32 fractions of the way from one to the other.

    """

    needed: Indices
    pixels: NDArray[np.int16]
    plain: Indices
    source: Indices
    mixed: Indices
    above: Indices
    below: Indices
    down: Floats


class _Layout(NamedTuple):
    """The precomputed steps that scale images of one size to another.

    Attributes:
        columns: Positions across.
        rows: Positions down.
        across: (3W,) float32 fractions of the columns, one per channel; None where they are all 0.
        picks: Whether cv2's nearest neighbours are the first pixels of the columns.
        bands: The rows, in groups that are worked on together.

    """

    columns: _Axis
    rows: _Axis
    across: Floats | None
    picks: bool
    bands: tuple[_Band, ...]


def stretch(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale an image to *size* whatever its proportions.

    Args:
        image: (h, w, 3) uint8.
        size: (H, W).

    Returns:
        (H, W, 3) uint8.

    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    layout = _layout(height, width, *size)
    exact = layout.columns.exact and layout.rows.exact
    result = np.empty((size[0], size[1] * 3), dtype=np.uint8)
    doubtful = [np.empty(0, dtype=np.intp)]
    for band in layout.bands:
        lines = _across(image, layout, band)
        parts = [(band.plain, lines.take(band.source, axis=0))] if len(band.plain) else []
        if len(band.mixed):
            mixed = _mix(lines.take(band.above, axis=0), lines.take(band.below, axis=0), band.down)
            parts.append((band.mixed, mixed))
        for rows, values in parts:
            if values.dtype == np.uint8:
                result[rows] = values
                continue
            rounded = np.rint(values)
            result[rows] = rounded.astype(np.uint8)
            if not exact:
                row, rest = np.divmod(np.flatnonzero(np.abs(values - rounded) > 0.5 - _DOUBT), result.shape[1])
                doubtful.append(rows[row] * result.shape[1] + rest)
    where = np.concatenate(doubtful)
    if len(where):
        result.reshape(-1)[where] = _fused(image, layout, where)
    return result.reshape(*size, 3)


def _across(image: Pixels, layout: _Layout, band: _Band) -> Pixels | Floats:
    """Return the needed rows at the target's width, (R, 3W); uint8 where pixels are only picked."""
    first, last = band.needed[0], band.needed[-1] + 1
    if layout.picks and last - first == len(band.needed) and last <= len(image):
        # The same pixels as below, gathered faster.
        size = (len(layout.columns.first), len(band.needed))
        lines = np.asarray(cv2.resize(image[first:last], size, interpolation=cv2.INTER_NEAREST), np.uint8)
        lines = lines.reshape(len(lines), -1)
    else:
        lines = _gather(image, layout, band, 0)
    return lines if layout.across is None else _mix(lines, _gather(image, layout, band, 1), layout.across)


def _gather(image: Pixels, layout: _Layout, band: _Band, shift: int) -> Pixels:
    """Return the first pixels of the needed rows, or those *shift* further right, (R, 3W); zeros beyond the image."""
    height, width = image.shape[:2]
    if width > shift and max(height, width) <= _MAX_SIDE:
        part = cv2.remap(image[:, shift:], band.pixels, _NO_MAP, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    else:
        rows, columns = band.needed, layout.columns.first + shift
        inside = (rows < height)[:, None] & (columns < width)
        part = image[np.minimum(rows, height - 1)[:, None], np.minimum(columns, width - 1)] * inside[..., None]
    return np.asarray(part, np.uint8).reshape(len(band.needed), -1)


def _mix(first: Pixels | Floats, second: Pixels | Floats, fraction: Floats) -> Floats:
    """Return first + fraction * (second - first)."""
    step = np.subtract(second, first, dtype=np.int16 if first.dtype == np.uint8 else np.float32)
    values: Floats = np.multiply(step, fraction, dtype=np.float32)
    values += first
    return values


def _fused(image: Pixels, layout: _Layout, where: Indices) -> Pixels:
    """Return the values of the target at these places of it (flat indices) by the definition."""
    height, width = image.shape[:2]
    row, rest = np.divmod(where, 3 * len(layout.columns.first))
    column, channel = np.divmod(rest, 3)
    y, x = layout.rows.first[row], layout.columns.first[column]
    down, across = layout.rows.fraction[row], layout.columns.fraction[column]

    def pixel(below: int, right: int) -> Floats:
        inside = (y + below < height) & (x + right < width)
        found = image[np.minimum(y + below, height - 1), np.minimum(x + right, width - 1), channel]
        return np.asarray(found * inside, dtype=np.float32)

    top = _fma(across, pixel(0, 1) - pixel(0, 0), pixel(0, 0))
    bottom = _fma(across, pixel(1, 1) - pixel(1, 0), pixel(1, 0))
    return np.rint(_fma(down, bottom - top, top)).astype(np.uint8)


def _fma(a: Floats, b: Floats, c: Floats) -> Floats:
    """Return a * b + c, rounded to float32 once: a float64 holds the product of two float32 exactly."""
    return np.asarray(a.astype(np.float64) * b + c, dtype=np.float32)


@lru_cache(maxsize=16)
def _layout(height: int, width: int, target_height: int, target_width: int) -> _Layout:
    columns, rows = _axis(width, target_width), _axis(height, target_height)
    across = np.repeat(columns.fraction, 3) if columns.fraction.any() else None
    numbers = np.arange(width, dtype=np.float32)[None]
    nearest = cv2.resize(numbers, (target_width, 1), interpolation=cv2.INTER_NEAREST)
    parts = np.array_split(np.arange(target_height), math.ceil(target_height * target_width * 3 / _BAND))
    bands = tuple(_band(columns, rows, part) for part in parts)
    return _Layout(columns, rows, across, np.array_equal(nearest[0], columns.first), bands)


def _band(columns: _Axis, rows: _Axis, part: Indices) -> _Band:
    between = rows.fraction[part] > 0
    if np.mean(between) > _MOSTLY:
        between[:] = True  # one step for all of them is faster
    plain, mixed = part[~between], part[between]
    second = rows.first[mixed] + (rows.fraction[mixed] > 0)
    needed = np.unique(np.concatenate((rows.first[part], second)))
    pixels = np.empty((len(needed), len(columns.first), 2), dtype=np.int16)
    pixels[..., 0] = columns.first
    pixels[..., 1] = needed[:, None]
    source, above, below = (np.searchsorted(needed, x) for x in (rows.first[plain], rows.first[mixed], second))
    return _Band(needed, pixels, plain, source, mixed, above, below, rows.fraction[mixed, None])


def _axis(source: int, target: int) -> _Axis:
    positions = np.arange(target, dtype=np.float32) * np.float32(source / target)
    first = np.floor(positions)
    fraction = positions - first
    exact = not np.any(fraction * 2**_EXACT_BITS % 1)
    return _Axis(first.astype(np.intp), fraction, exact)
