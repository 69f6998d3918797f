"""Deterministic untrained NanoDet-Plus-m weights, to try every step from export to drawing without a download.

`models.weights.seeding` tells how they are made. What differs here: some BatchNorms are followed by no activation, and
some outputs are sums of two branches, whose means add up to the usual shift or to twice of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..weights.seeding import GAIN, SHIFT, Recipe, seeded_tensors
from .network import NanoDetPlus
from .variant import PROJECT, Variant


def _around(middle: float) -> tuple[float, float]:
    return middle - 0.1, middle + 0.1


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
    (rf"{_BRANCHES}bias", _around(_HALF)),
    (r"fpn\..*\.ghost2\.cheap_operation\.1\.running_mean", _around(GAIN * _HALF)),
    (rf"{_SUM}running_mean", _around(2 * _DEPTHWISE_MEAN)),
    (rf"{_SUM}weight", (0.65, 0.75)),
    (
        r".*(\.branch1\.1|\.branch2\.4|\.dwnorm|\.cheap_operation\.1|\.shortcut\.1)\.running_mean",
        _around(_DEPTHWISE_MEAN),
    ),
    (r".*\.running_mean", _around(0.0)),
    (r".*\.weight", (0.9, 1.1)),
    (r".*(\.branch1\.1|\.branch2\.4|\.shortcut\.1)\.bias", _around(0.0)),
    (r".*\.bias", _around(SHIFT)),
)
_GAINS = ((r"head\.gfl_cls\.", 0.8),)


def seeded_state(variant: Variant, seed: int) -> dict[str, NDArray[Any]]:
    """Return untrained weights.

    Args:
        variant: The network's structure.
        seed: Each tensor depends on this, its key and its shape alone.

    Returns:
        Arrays by key, float32 but for the integer counters, in the order of the network's state dict.

    """
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in NanoDetPlus(variant).state_dict().items()}
    state = seeded_tensors(
        {key: shape for key, shape in shapes.items() if key != PROJECT}, Recipe(_RANGES, _GAINS), seed
    )
    bins = np.arange(variant.reg_max + 1, dtype=np.float32)
    return {key: state.get(key, bins) for key in shapes}
