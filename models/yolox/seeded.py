"""Deterministic untrained weights, on which every step from export to drawing can be tried without a download.

Such a network detects nothing real, but it must be as informative to compare as a trained one: activations of a
sane scale in every layer, and logits that vary over positions and pictures, for normalised pictures as for 0..255.
BatchNorm does not normalise at inference, so the scale has to find its balance by itself:

- Every activation gets inputs around `_SHIFT`. Small signals pass there almost unchanged, large ones lose the half
  below zero. With `_GAIN` in front, a standard deviation of 2 is kept, a smaller one grows and a larger one
  shrinks, for SiLU and ReLU alike: at 2 the gain is 1, for small signals 1.2, for large ones 0.7.
- Filters sum to zero over every eight input channels, so that what they share, the shift included, does not add up.

Values come from the raw integers of PCG64 and exact arithmetic on them, hence the same bits everywhere.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .network import YOLOX
from .variant import Variant

T = TypeVar("T")

_SHIFT = 2.0
_GAIN = 1.13
# Consecutive input channels over which a filter sums to zero, where their number allows.
_BLOCK = 8
_BITS = 24

# Range of each kind of vector, by key; the first that matches. What reaches a normalisation with its mean still in
# it (depthwise filters, RepVGG's identity) has that mean taken off there.
_RANGES = (
    (r"head\.(cls|obj)_preds\.\d\.bias", (-3.0, -2.0)),
    (r"head\.reg_preds\.\d\.bias", (0.0, 1.0)),
    (r".*layer_attention\.0\.bias", (0.5, 1.0)),
    (r".*layer_attention\.2\.bias", (-0.5, 0.5)),
    (r".*\.running_var", (0.8, 1.2)),
    (r".*\.rbr_identity\.running_mean", (_SHIFT, _SHIFT + 0.2)),
    (
        r".*\.(dconv|gsconv\d\.cv2|conv_lighting\.\d\.cv2)\.bn\.running_mean",
        (_SHIFT * _GAIN - 0.1, _SHIFT * _GAIN + 0.1),
    ),
    (r".*\.running_mean", (-0.1, 0.1)),
    (r".*\.rbr_identity\.weight", (0.4, 0.6)),
    (r".*\.gn\.weight", (1.8, 2.2)),
    (r".*\.bn\.weight", (0.9, 1.1)),
    (r".*\.(rbr_1x1\.bn|rbr_identity|conv)\.bias", (-0.1, 0.1)),
    (r".*\.bias", (_SHIFT - 0.1, _SHIFT + 0.1)),
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


def seeded_state(variant: Variant, seed: int) -> dict[str, NDArray[Any]]:
    """Return untrained weights.

    Args:
        variant: The network's structure.
        seed: Each tensor depends on this, its key and its shape alone.

    Returns:
        Arrays by key, float32 but for the integer counters, in the order of the network's state dict.

    """
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in YOLOX(variant).state_dict().items()}
    return {key: _tensor(key, shape, seed) for key, shape in shapes.items()}


def _tensor(key: str, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    numbers = _draw(key, shape, seed)
    values: NDArray[np.float64]
    if len(shape) == 1:
        low, high = _lookup(_RANGES, key)
        values = low + (high - low) * (0.5 + numbers / 2 ** (_BITS + 1))
    elif shape[1] == 1 and math.prod(shape[2:]) > 1:
        values = _depthwise_filters(numbers)
    else:
        values = _filters(numbers, _lookup((*_GAINS, ("", _GAIN)), key))
    weights: NDArray[np.float32] = values.astype(np.float32)
    return weights


def _draw(key: str, shape: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Return odd integers, uniform between -2**24 and 2**24."""
    source = np.random.PCG64([seed, zlib.crc32(key.encode())])
    raw: NDArray[np.uint64] = np.asarray(source.random_raw(math.prod(shape)), dtype=np.uint64)
    numbers: NDArray[np.int64] = (raw >> np.uint64(64 - _BITS)).astype(np.int64).reshape(shape)
    numbers *= 2
    numbers += 1 - 2**_BITS
    return numbers


def _filters(numbers: NDArray[np.int64], gain: float) -> NDArray[np.float64]:
    """Return filters whose sum over each block of input channels is zero, of variance gain**2 / fan_in.

    Args:
        numbers: (out,in,h,w) integers.
        gain: Standard deviation of the output for inputs of standard deviation 1.

    """
    out_channels, in_channels = numbers.shape[:2]
    block = _BLOCK if in_channels % _BLOCK == 0 else in_channels
    blocks = numbers.reshape(out_channels, in_channels // block, -1)
    size = blocks.shape[2]
    centred: NDArray[np.int64] = (blocks * size - blocks.sum(axis=2, keepdims=True)).reshape(numbers.shape)
    # A uniform number between -1 and 1 has the variance 1/3, of which centring takes one part in size.
    variance = (1 - 1 / size) / 3 if size > 1 else 1.0
    scale = gain / math.sqrt(variance * math.prod(numbers.shape[1:])) / (size * 2.0**_BITS)
    return centred.astype(np.float64) * scale


def _depthwise_filters(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (C,1,h,w) filters that average with the usual gain, plus noise that sums to zero."""
    size = math.prod(numbers.shape[2:])
    return _GAIN / size + _filters(numbers, 0.7)


def _lookup(table: Sequence[tuple[str, T]], key: str) -> T:
    """Return the value of the first pattern that the beginning of *key* matches."""
    return next(value for pattern, value in table if re.match(pattern, key))
