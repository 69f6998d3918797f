"""Scores: from logits, the best first, with names. numpy alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..results import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)) in float32."""
    # exp() of a very negative logit overflows to infinity, whose reciprocal is the right answer.
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return exp(x) / sum(exp(x)) over the last axis, in float32.

    The largest logit of each row is subtracted first: it cancels out, and nothing overflows.
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def lowest_logit(probability: float) -> np.float32:
    """Return the smallest logit whose sigmoid can reach *probability*, a hair low so that rounding loses nothing."""
    if probability <= 0:
        return np.float32(-np.inf)
    # Just below 1 the sigmoid is flat: in float32 it is 1 from a logit of 17 on.
    low = min(probability, 1.0) * (1 - 1e-5)
    return np.float32(math.log(low / (1 - low)))


def best_first(
    scores: NDArray[np.float32], class_ids: NDArray[np.int64], classes: Sequence[int] | None, best: int | None
) -> NDArray[np.int64]:
    """Return indices in the order of falling scores.

    Stable: equal scores keep their order, so every backend breaks ties the same way.

    Args:
        scores: (N,) float32.
        class_ids: (N,) int64.
        classes: Leave out other classes; None for all.
        best: Return so many at most.

    """
    if classes is None:
        return np.argsort(-scores, kind="stable")[:best]
    wanted = np.flatnonzero(np.isin(class_ids, np.asarray(classes)))
    return wanted[np.argsort(-scores[wanted], kind="stable")[:best]]


def make_detections(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    margins: NDArray[np.float32],
    labels: Sequence[str],
) -> Detections:
    """Return the result, each box with the name of its class."""
    return Detections(boxes, scores, class_ids, tuple(labels[i] for i in class_ids.tolist()), margins)
