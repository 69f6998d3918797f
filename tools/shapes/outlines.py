"""The classes: the outline of each shape in a unit frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Outline = list[NDArray[np.float64]]
"""Closed polygons (P, 2), x to the right and y down, within -1..1; the second is a hole in the first."""


def _arc(radius: float, start: float = 0.0, stop: float = 360.0, points: int = 48) -> NDArray[np.float64]:
    angles = np.radians(np.linspace(start, stop, points))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _regular(corners: int, start: float = -90.0) -> NDArray[np.float64]:
    return _arc(1.0, start, start + 360.0, corners + 1)[:-1]


def _star() -> NDArray[np.float64]:
    outer, inner = _regular(5), 0.42 * _regular(5, -54.0)
    return np.stack([outer, inner], axis=1).reshape(-1, 2)


def _heart() -> NDArray[np.float64]:
    """Return the curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, scaled."""
    t = np.radians(np.linspace(0, 360, 64))
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], axis=1) / 17


def _cross() -> NDArray[np.float64]:
    arm = 0.32
    corner = np.array([[arm, -1.0], [arm, -arm], [1.0, -arm]])
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([corner @ turn.T for turn in turns])


def _crescent() -> NDArray[np.float64]:
    outer = _arc(1.0, 50, 310)
    inner = _arc(0.8, 310 - 16, 50 + 16) + np.array([0.36, 0.0])
    return np.concatenate([outer, inner])


OUTLINES: dict[str, Outline] = {
    "circle": [_arc(1.0)],
    "ring": [_arc(1.0), _arc(0.58)],
    "triangle": [_regular(3)],
    "square": [0.9 * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])],
    "star": [_star()],
    "heart": [_heart()],
    "cross": [_cross()],
    "crescent": [_crescent()],
}
