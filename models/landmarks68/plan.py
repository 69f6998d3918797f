"""What a STAR checkpoint turns into: variant, preprocessing; and the constants that a file may leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UsageError, WeightsError
from ..spec import Plan, VariantOptions
from .contours import CONTOURS, NUM_POINTS
from .postprocess import PostprocessParams
from .preprocess import PreprocessParams
from .variant import DEFAULT_VARIANT, infer_variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from ..weights.checkpoint import Checkpoint

    StateDict = Mapping[str, Tensor | NDArray[Any]]

_EDGES = "e2h_transform."


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    if options.labels is not None:
        raise UsageError("landmarks68 finds points, not classes", "Leave --labels out.")
    variant = infer_variant({key: tuple(value.shape) for key, value in checkpoint.state.items()})
    params = PreprocessParams()
    return Plan(variant, params.input_size, params, PostprocessParams(), (), {"input_size": "fixed by the network"})


def seeded(seed: int) -> dict[str, NDArray[np.generic]]:
    """Return untrained weights of the published variant."""
    from .recipe import seeded_state

    return seeded_state(DEFAULT_VARIANT, seed)


def edge_constants() -> dict[str, NDArray[np.float32]]:
    """Return what tells which contour each point is on, by key: (68,9,1,1) of 0 and 1, and (68,) of 0."""
    weight = np.zeros((NUM_POINTS, len(CONTOURS), 1, 1), dtype=np.float32)
    for edge, contour in enumerate(CONTOURS):
        weight[list(contour.points), edge] = 1
    return {f"{_EDGES}weight": weight, f"{_EDGES}bias": np.zeros(NUM_POINTS, dtype=np.float32)}


def for_inference(state: StateDict) -> StateDict:
    """Write down which contour each point is on, where a checkpoint leaves it out.

    Args:
        state: Tensors or arrays by key, wrapper prefixes removed.

    Raises:
        WeightsError: The checkpoint puts points on other contours.

    """
    constants = edge_constants()
    for key, expected in constants.items():
        stored = state.get(key)
        # Of another shape, it is for the points' number or strict loading to refuse.
        same_shape = tuple(getattr(stored, "shape", ())) == expected.shape
        if stored is not None and same_shape and [float(x) for x in stored.flatten()] != expected.ravel().tolist():
            raise WeightsError(
                f"{key} puts points on other contours than those of 300W", "Check that the file is not damaged."
            )
    return {**constants, **state}
