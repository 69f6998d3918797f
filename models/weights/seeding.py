"""Untrained weights by formula: the same bits everywhere, and as informative to compare as trained ones.

Such a network detects nothing real, but activations keep a sane scale in every layer, and outputs vary over positions
and images. BatchNorm does not normalise at inference, so the scale has to find its balance by itself:

- Every activation gets inputs around `SHIFT`. Small signals pass there almost unchanged, large ones lose the half
  below zero. With `GAIN` in front, a standard deviation of 2 is kept, a smaller one grows and a larger one shrinks,
  for SiLU, ReLU and LeakyReLU alike: at 2 the gain is 1, for small signals 1.2, for large ones 0.7.
- Filters sum to zero over every eight input channels, so that what they share, the shift included, does not add up.

Values come from the raw integers of PCG64 and exact arithmetic on them. A model says in a `Recipe` which tensors need
other numbers.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")

SHIFT = 2.0
GAIN = 1.13
# Consecutive input channels over which a filter sums to zero, where their number allows.
_BLOCK = 8
_BITS = 24


@dataclass(frozen=True)
class Recipe:
    """The numbers from which a model's untrained tensors are drawn, by pattern.

    A pattern is a regular expression for the beginning of a key; of several that match, the first counts.

    Attributes:
        ranges: Lowest and highest value of each kind of vector.
        gains: Gain of the filters that do not have `GAIN`: standard deviation of the output for inputs of deviation 1.
        vectors: Pattern of tensors of several axes that are no filters: each number is drawn from a range.
        damped: Filters whose last input channels are scaled: the pattern, the number of channels, the factor.

    """

    ranges: Sequence[tuple[str, tuple[float, float]]]
    gains: Sequence[tuple[str, float]] = ()
    vectors: str | None = None
    damped: Sequence[tuple[str, int, float]] = ()


def around(middle: float, spread: float = 0.1) -> tuple[float, float]:
    """Return the range of a recipe that reaches *spread* to either side of *middle*."""
    return middle - spread, middle + spread


def seeded_tensors(shapes: Mapping[str, tuple[int, ...]], recipe: Recipe, seed: int) -> dict[str, NDArray[Any]]:
    """Return untrained weights.

    Args:
        shapes: Shape of each tensor by its key.
        recipe: The model's numbers.
        seed: Each tensor depends on this, its key, its shape and the recipe alone.

    Returns:
        Arrays by key, float32 but for the integer counters.

    """
    return {key: _tensor(key, shape, recipe, seed) for key, shape in shapes.items()}


def _tensor(key: str, shape: tuple[int, ...], recipe: Recipe, seed: int) -> NDArray[Any]:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    numbers = _draw(key, shape, seed)
    values: NDArray[np.float64]
    if len(shape) == 1 or (recipe.vectors and re.match(recipe.vectors, key)):
        low, high = _lookup(recipe.ranges, key)
        values = low + (high - low) * (0.5 + numbers / 2 ** (_BITS + 1))
    elif shape[1] == 1 and math.prod(shape[2:]) > 1:
        values = _depthwise_filters(numbers)
    else:
        values = _filters(numbers, _lookup((*recipe.gains, ("", GAIN)), key))
    weights: NDArray[np.float32] = values.astype(np.float32)
    for pattern, channels, factor in recipe.damped:
        if re.match(pattern, key):
            weights[:, -channels:] *= np.float32(factor)
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
    return GAIN / size + _filters(numbers, 0.7)


def _lookup(table: Sequence[tuple[str, T]], key: str) -> T:
    """Return the value of the first pattern that the beginning of *key* matches."""
    return next(value for pattern, value in table if re.match(pattern, key))
