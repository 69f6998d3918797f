"""Deterministic untrained ViT weights, to try every step from export to drawing without a download.

`models.weights.seeding` tells how tensors are drawn. Nothing has to find its balance here: LayerNorm sets the scale in
every layer.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from numpy.typing import NDArray

from ..weights.seeding import Recipe, seeded_tensors
from .network import ViTClassifier
from .variant import Variant

# Drawn as vectors, each number by itself: they are no filters.
_EMBEDDINGS = ("cls_token", "position_embeddings")

_RANGES = (
    (r".*(cls_token|position_embeddings)$", (-0.9, 0.9)),
    (r".*\.layernorm\w*\.weight", (0.8, 1.2)),
    (r".*\.bias", (-0.1, 0.1)),
)
# Scores as far apart as trained ones: no two classes share the first place.
_GAINS = ((r"classifier\.", 3.0),)


def seeded_state(variant: Variant, seed: int) -> dict[str, NDArray[Any]]:
    """Return untrained weights.

    Args:
        variant: The network's structure.
        seed: Each tensor depends on this, its key and its shape alone.

    Returns:
        float32 arrays by the network's own keys, in the order of its state dict.

    """
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in ViTClassifier(variant).state_dict().items()}
    drawn = {key: (math.prod(shape),) if key.endswith(_EMBEDDINGS) else shape for key, shape in shapes.items()}
    state = seeded_tensors(drawn, Recipe(_RANGES, _GAINS), seed)
    return {key: state[key].reshape(shape) for key, shape in shapes.items()}
