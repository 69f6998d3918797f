"""Turns the logits of the network into a score for each class. numpy alone, so an app can embed it.

>>> import numpy as np
>>> outputs = {"logits": np.array([[0.0, 2.0, 0.0]], dtype=np.float32)}
>>> (result,) = postprocess(outputs, [None], PostprocessParams(), labels=("sad", "happy", "fear"))
>>> result.label
'happy'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..ops.classifier import ClassifierParams, postprocess

__all__ = ["PostprocessParams", "postprocess"]


@dataclass(frozen=True)
class PostprocessParams(ClassifierParams):
    """Parameters of the decoding of the network's ``logits`` (N, C), see `ClassifierParams`."""

    activation: Literal["none", "sigmoid", "softmax"] = "softmax"
