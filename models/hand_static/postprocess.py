"""Turns the output of a gesture classifier into scores by name. numpy alone, so an app can embed it.

>>> (result,) = postprocess(outputs, transforms, PostprocessParams(), labels)  # doctest: +SKIP
>>> result.label, result.score  # doctest: +SKIP
('five', 0.97)
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
    """Parameters of the decoding of the network's ``scores`` (N, C), see `ClassifierParams`.

    The network ends in a sigmoid for each class, which no softmax may follow: over values of such a narrow range it is
    nearly the same for all classes. The scores do not add up to 1.
    """

    activation: Literal["none", "sigmoid", "softmax"] = "none"


def output_shapes(
    _params: PostprocessParams, labels: Sequence[str], _input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each output for one image; see `ModelSpec.output_shapes`."""
    return {"scores": (len(labels),)}
