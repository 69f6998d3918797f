"""Deterministic untrained ViT weights, to try every step from export to drawing without a download.

`models.weights.seeding` tells how tensors are drawn. Nothing has to find its balance here: LayerNorm sets the scale in
every layer.
"""

from __future__ import annotations

from ..weights.seeding import Recipe, around

_EMBEDDINGS = r".*(cls_token|position_embeddings)$"

_RANGES = (
    (_EMBEDDINGS, (-0.9, 0.9)),
    (r".*\.layernorm\w*\.weight", (0.8, 1.2)),
    (r".*\.bias", around(0.0)),
)
# Scores as far apart as trained ones: no two classes share the first place.
_GAINS = ((r"classifier\.", 3.0),)

RECIPE = Recipe(_RANGES, _GAINS, vectors=_EMBEDDINGS)
