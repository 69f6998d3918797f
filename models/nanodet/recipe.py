"""Deterministic untrained NanoDet-Plus-m weights, to try every step from export to drawing without a download.

`models.weights.seeding` tells how they are made. What differs here: some BatchNorms are followed by no activation, and
some outputs are sums of two branches, whose means add up to the usual shift or to twice of it.
"""

from __future__ import annotations

from ..weights.seeding import GAIN, SHIFT, Recipe, around

# Of what a depthwise convolution makes of inputs around the shift.
_DEPTHWISE_MEAN = GAIN * SHIFT
_HALF = SHIFT / 2

# The two branches that a ghost bottleneck adds up, and the sum of two levels that the last level's head starts from.
_BRANCHES = r"fpn\.\w+_blocks\.\d\.blocks\.\d\.(ghost2\.\w+\.1|shortcut\.3)\."
_SUM = r"head\.cls_convs\.3\.0\.dwnorm\."

_RANGES = (
    # Scores start low; to the bins of a side, what their biases have in common makes no difference.
    (r"head\.gfl_cls\.\d\.bias", (-3.0, -2.0)),
    (r".*\.running_var", (0.8, 1.2)),
    (rf"{_BRANCHES}weight", (0.65, 0.75)),
    (rf"{_BRANCHES}bias", around(_HALF)),
    (r"fpn\..*\.ghost2\.cheap_operation\.1\.running_mean", around(GAIN * _HALF)),
    (rf"{_SUM}running_mean", around(2 * _DEPTHWISE_MEAN)),
    (rf"{_SUM}weight", (0.65, 0.75)),
    (
        r".*(\.branch1\.1|\.branch2\.4|\.dwnorm|\.cheap_operation\.1|\.shortcut\.1)\.running_mean",
        around(_DEPTHWISE_MEAN),
    ),
    (r".*\.running_mean", around(0.0)),
    (r".*\.weight", (0.9, 1.1)),
    (r".*(\.branch1\.1|\.branch2\.4|\.shortcut\.1)\.bias", around(0.0)),
    (r".*\.bias", around(SHIFT)),
)
_GAINS = ((r"head\.gfl_cls\.", 0.8),)

RECIPE = Recipe(_RANGES, _GAINS)
