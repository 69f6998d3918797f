"""Deterministic untrained weights of the gesture classifier, to try every step without a download.

`models.weights.seeding` tells how they are made. What differs here: bottlenecks end without an activation, the
embedding has length 1, so that its numbers are small, and every score is to tell images apart.
"""

from __future__ import annotations

from ..weights.seeding import GAIN, SHIFT, Recipe, around

_DEPTHWISE = r".*\.(conv2_dw|conv_dw|conv_6_dw)"
_RANGES = (
    (r".*\.prelu\.weight", (0.1, 0.3)),
    (r".*\.running_var", (0.8, 1.2)),
    # What a depthwise convolution makes of inputs around the shift.
    (rf"{_DEPTHWISE}\.bn\.running_mean", around(GAIN * SHIFT)),
    (r".*\.running_mean", around(0.0)),
    # Residual branches: the sum is to have little more than what it adds to.
    (r".*\.model\.\d+\.project\.bn\.weight", (0.3, 0.4)),
    (r".*\.weight", (0.9, 1.1)),
    (r".*(\.project|\.conv_6_dw)\.bn\.bias", around(0.0)),
    (r"fc_layer\.", around(0.0)),
    (r".*\.bias", around(SHIFT)),
)
# The embedding's numbers are around 1 / sqrt(512).
_GAINS = ((r"fc_layer\.0\.", 40.0), (r"fc_layer\.2\.", 1.5))

RECIPE = Recipe(_RANGES, _GAINS)
