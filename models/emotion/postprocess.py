"""From the logits of the network to a score for each class. numpy alone, so an app can embed it.

>>> outputs = {"logits": np.array([[0.0, 2.0, 0.0]], dtype=np.float32)}
>>> (result,) = postprocess(outputs, [None], PostprocessParams(), labels=("sad", "happy", "fear"))
>>> result.label
'happy'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..results import Classification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..ops.whole_image import Frame


@dataclass(frozen=True)
class PostprocessParams:
    """What turns logits into scores: nothing but the softmax, so there is nothing to set."""


def postprocess(
    outputs: Mapping[str, NDArray[np.float32]],
    frames: Sequence[Frame],
    params: PostprocessParams,  # noqa: ARG001
    labels: Sequence[str],
) -> list[Classification]:
    """Decode a batch.

    Args:
        outputs: ``logits`` (N, C) float32.
        frames: At most N frames, as preprocessing returned them.
        params: Without content.
        labels: C class names.

    Returns:
        One classification a frame; the scores of each are the softmax of its logits and add up to 1.

    """
    names = tuple(labels)
    return [Classification(scores, names) for scores in softmax(outputs["logits"][: len(frames)])]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return exp(x) / sum(exp(x)) over the last axis, in float32.

    The largest logit of each row is subtracted first: it cancels out, and nothing overflows.
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float32)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)
