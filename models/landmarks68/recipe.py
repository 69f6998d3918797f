"""Deterministic untrained weights, on which every step from export to drawing can be tried without the trained file.

`models.weights.seeding` tells how they are made. What differs here: blocks add to a stream that no BatchNorm brings
back to the balance, so what reads the stream expects the mean and the deviation that it has there. And a pixel is
either on the boundary or not, see `_BOUNDARY_GAIN`.
"""

from __future__ import annotations

from ..weights.seeding import SHIFT, Recipe, around


def _down(depth: int) -> str:
    return r"hgs\.\d\." + r"low2\." * depth


# Mean of the stream, and its standard deviation over the balance's, where BatchNorms read it: in the stem; in the
# hourglasses, by depth, on the way down (pooling takes the largest values, which shifts the mean) and up (every scale
# adds its own); behind them.
_STREAM = (
    (r"pre\.1\.", 2.0, 1.0),
    (r"pre\.3\.", 1.0, 1.2),
    (r"pre\.4\.", 1.0, 1.4),
    *((_down(depth) + r"up1\.", depth * 0.6, 1.1) for depth in range(4)),
    *((_down(depth) + r"low1\.", depth * 0.8 + 0.4, 1.1) for depth in range(4)),
    (_down(4), 3.0, 1.4),
    *((_down(depth) + r"low3\.", 6.5 - depth, 5.0 - depth) for depth in range(4)),
    (r"features\.\d\.0\.", 6.5, 6.0),
)
_RANGES = (
    *((rf"{where}bn1\.running_mean", around(mean)) for where, mean, _ in _STREAM),
    *((rf"{where}bn1\.running_var", around(deviation**2)) for where, _, deviation in _STREAM),
    # Attention is low but in a few places, and those pull the centroids apart.
    (r"out_(point|edge)maps\.\d\.conv\.bias", around(-2.0, 0.5)),
    (r".*\.running_var", (0.8, 1.2)),
    (r".*\.running_mean", around(0.0)),
    (r".*\.bn\d?\.weight", (0.9, 1.1)),
    (r".*\.bn\d?\.bias", around(SHIFT)),
    (r".*\.bias", around(0.0)),
)
_GAINS = (
    (r"pre\.0\.", 4.0),
    (r".*\.conv3\.", 0.6),
    (r"pre\.\d\.skip_layer", 0.8),
    (r"hgs\.\d\.coordconv\.", 0.9),
    (r"features\.\d\.1\.", 0.2),
    (r"merge_", 0.6),
)
# Rounding can decide whether a pixel is on the boundary, and then its row and column appear or vanish. With this part
# of their usual weight that moves no landmark by more than rounding does anyway.
_BOUNDARY_GAIN = 0.01
# The last input channels of CoordConv: the columns and rows of the boundary (coord_conv.py of ZhenglinZhou/STAR).
_BOUNDARY_CHANNELS = 2
_BOUNDARY_FILTER = r"hgs\.[1-9]\d?\.coordconv\.conv\.weight"

RECIPE = Recipe(_RANGES, _GAINS, damped=((_BOUNDARY_FILTER, _BOUNDARY_CHANNELS, _BOUNDARY_GAIN),))
