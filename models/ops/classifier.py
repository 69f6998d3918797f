"""Turns the output of a classifier into scores by name. numpy alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..params import Params
from ..results import Classification
from .scores import sigmoid, softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassifierParams(Params):
    """Parameters of the decoding of a classifier's output; sealed in the exported file.

    Attributes:
        activation: "softmax" over the classes, a "sigmoid" for each class, or "none" where the network ends in its own.

    """

    activation: Literal["none", "sigmoid", "softmax"]


_ACTIVATIONS: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "none": lambda values: values.astype(np.float32),
    "sigmoid": sigmoid,
    "softmax": softmax,
}


def postprocess(
    outputs: Mapping[str, NDArray[np.float32]],
    transforms: Sequence[object],
    params: ClassifierParams,
    labels: Sequence[str],
) -> list[Classification]:
    """Name the scores of a batch.

    Args:
        outputs: The one output of the network, (N, C) float32.
        transforms: At most N image transforms, as preprocessing returned them; rows beyond them are padding.
        params: The activation.
        labels: C class names.

    Returns:
        One classification per image. Its scores add up to 1 after a softmax, and not otherwise.

    """
    (values,) = outputs.values()
    names = tuple(labels)
    return [Classification(row, names) for row in _ACTIVATIONS[params.activation](values[: len(transforms)])]


def postprocess_decoded(
    outputs: Mapping[str, NDArray[np.float32]],
    transforms: Sequence[object],
    params: ClassifierParams,
    labels: Sequence[str],
) -> list[Classification]:
    """Name the scores of a batch of the form "decoded", whose activation was applied; see `postprocess`."""
    return postprocess(outputs, transforms, replace(params, activation="none"), labels)


def decoded_shapes(
    _params: ClassifierParams, labels: Sequence[str], _input_size: tuple[int, int]
) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of the output of the form "decoded" for one image; see `ModelSpec.output_shapes`."""
    return {"scores": (len(labels),)}
