"""Deterministic untrained YOLOX weights, on which every step from export to drawing can be tried without a download.

They are as good for normalised images as for 0..255; `models.weights.seeding` tells how they are made.
"""

from __future__ import annotations

from ..weights.seeding import GAIN, SHIFT, Recipe, around

# Range of each kind of vector, by key; the first that matches. What reaches a normalisation with its mean still in
# it (depthwise filters, RepVGG's identity) has that mean taken off there.
_RANGES = (
    (r"head\.(cls|obj)_preds\.\d\.bias", (-3.0, -2.0)),
    (r"head\.reg_preds\.\d\.bias", (0.0, 1.0)),
    (r".*layer_attention\.0\.bias", (0.5, 1.0)),
    (r".*layer_attention\.2\.bias", (-0.5, 0.5)),
    (r".*\.running_var", (0.8, 1.2)),
    (r".*\.rbr_identity\.running_mean", (SHIFT, SHIFT + 0.2)),
    (
        r".*\.(dconv|gsconv\d\.cv2|conv_lighting\.\d\.cv2)\.bn\.running_mean",
        around(SHIFT * GAIN),
    ),
    (r".*\.running_mean", around(0.0)),
    (r".*\.rbr_identity\.weight", (0.4, 0.6)),
    (r".*\.gn\.weight", (1.8, 2.2)),
    (r".*\.bn\.weight", (0.9, 1.1)),
    (r".*\.(rbr_1x1\.bn|rbr_identity|conv)\.bias", around(0.0)),
    (r".*\.bias", around(SHIFT)),
)
# Gain of the filters that do not have the usual one. The image's contrast is about 1 if it is normalised and 60 if
# it is not: the stem puts the middle between them near the balance. RepVGG's three branches share the gain.
_GAINS = (
    (r"backbone\.backbone\.(stem|stage0)\.", 0.25),
    (r"head\.(cls|obj)_preds\.", 0.8),
    (r"head\.reg_preds\.", 0.35),
    (r".*\.rbr_dense\.", 0.8),
    (r".*\.rbr_1x1\.", 0.7),
)

RECIPE = Recipe(_RANGES, _GAINS)
