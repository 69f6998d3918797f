"""The keys of NanoDet-Plus-m checkpoints: drops the auxiliary heads, adds the numbers of the bins where they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..weights.keys import KeyRules, Shapes
from .variant import PROJECT, count_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bin_numbers(shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    """Return the buffer that numbers the bins of each side, by its key: (B,) float32, 0, 1 .. B-1."""
    return {PROJECT: np.arange(count_bins(shapes), dtype=np.float32)}


KEYS = KeyRules(
    # Heads that guide training (model/arch/nanodet_plus.py of RangiLyu/nanodet); a quarter of a training checkpoint.
    training_only=r"aux_(fpn|head)\.",
    constants=bin_numbers,
    # Boxes are decoded by these numbers.
    constants_are="the numbers of the bins, 0, 1, 2 ...",
)
