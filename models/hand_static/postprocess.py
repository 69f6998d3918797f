"""From the output of a gesture classifier to scores by name. numpy alone, so an app can embed it.

>>> (result,) = postprocess(outputs, frames, PostprocessParams(), labels)  # doctest: +SKIP
>>> result.label, result.score  # doctest: +SKIP
('five', 0.97)
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
    """Nothing: the network's sigmoids are the scores."""


def postprocess(
    outputs: Mapping[str, NDArray[np.float32]],
    frames: Sequence[Frame],
    params: PostprocessParams,  # noqa: ARG001
    labels: Sequence[str],
) -> list[Classification]:
    """Name the scores of a batch.

    Args:
        outputs: ``scores`` (N, C) float32 in 0..1: a sigmoid for each class, which no softmax may follow. One over
            values of such a narrow range is nearly the same for all classes.
        frames: At most N frames, as preprocessing returned them.
        params: Nothing to choose.
        labels: C class names.

    Returns:
        One classification a frame. Its scores do not sum to 1.

    """
    names = tuple(labels)
    return [Classification(scores.astype(np.float32), names) for scores in outputs["scores"][: len(frames)]]
