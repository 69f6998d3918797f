"""The keys of STAR checkpoints: adds which contour each point is on where a checkpoint leaves it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..weights.keys import KeyRules, Shapes
from .contours import CONTOURS, NUM_POINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EDGES = "e2h_transform."


def edge_constants(_shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    """Return what tells which contour each point is on, by key: (68,9,1,1) of 0 and 1, and (68,) of 0."""
    weight = np.zeros((NUM_POINTS, len(CONTOURS), 1, 1), dtype=np.float32)
    for edge, contour in enumerate(CONTOURS):
        weight[list(contour.points), edge] = 1
    return {f"{_EDGES}weight": weight, f"{_EDGES}bias": np.zeros(NUM_POINTS, dtype=np.float32)}


KEYS = KeyRules(constants=edge_constants, constants_are="the contours of the 68 points of 300W")
