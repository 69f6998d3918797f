"""Deterministic untrained weights of the gesture classifier, to try every step without a download.

`models.weights.seeding` tells how they are made. What differs here: bottlenecks end without an activation, the
embedding has length 1, so that its numbers are small, and every score is to tell pictures apart.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from ..weights.seeding import GAIN, SHIFT, Recipe, seeded_tensors
from .network import HandStatic
from .variant import Variant


def _around(middle: float) -> tuple[float, float]:
    return middle - 0.1, middle + 0.1


_DEPTHWISE = r".*\.(conv2_dw|conv_dw|conv_6_dw)"
_RANGES = (
    (r".*\.prelu\.weight", (0.1, 0.3)),
    (r".*\.running_var", (0.8, 1.2)),
    # What a depthwise convolution makes of inputs around the shift.
    (rf"{_DEPTHWISE}\.bn\.running_mean", _around(GAIN * SHIFT)),
    (r".*\.running_mean", _around(0.0)),
    # Residual branches: the sum is to have little more than what it adds to.
    (r".*\.model\.\d+\.project\.bn\.weight", (0.3, 0.4)),
    (r".*\.weight", (0.9, 1.1)),
    (r".*(\.project|\.conv_6_dw)\.bn\.bias", _around(0.0)),
    (r"fc_layer\.", _around(0.0)),
    (r".*\.bias", _around(SHIFT)),
)
# The embedding's numbers are around 1 / sqrt(512).
_GAINS = ((r"fc_layer\.0\.", 40.0), (r"fc_layer\.2\.", 1.5))


def seeded_state(variant: Variant, seed: int) -> dict[str, NDArray[Any]]:
    """Return untrained weights.

    Args:
        variant: The network's structure.
        seed: Each tensor depends on this, its key and its shape alone.

    Returns:
        Arrays by key, float32 but for the integer counters, in the order of the network's state dict.

    """
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in HandStatic(variant).state_dict().items()}
    return seeded_tensors(shapes, Recipe(_RANGES, _GAINS), seed)
