"""Turns the logits of the network into a score for each class. numpy alone, so an app can embed it.

>>> import numpy as np
>>> outputs = {"logits": np.array([[0.0, 2.0, 0.0]], dtype=np.float32)}
>>> (result,) = postprocess(outputs, [None], PostprocessParams(), labels=("sad", "happy", "fear"))
>>> result.label
'happy'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..ops.classifier import ClassifierParams, postprocess

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PostprocessParams", "output_shapes", "postprocess"]


@dataclass(frozen=True)
class PostprocessParams(ClassifierParams):
    """Parameters of the decoding of the network's ``logits`` (N, C), see `ClassifierParams`."""

    activation: Literal["none", "sigmoid", "softmax"] = "softmax"


def output_shapes(
    _params: PostprocessParams, labels: Sequence[str], _input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output for one image; see `ModelSpec.output_shapes`."""
    return {"logits": (len(labels),)}
