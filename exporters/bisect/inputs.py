"""What goes into the two legs of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArtifactError
from ..gate.probes import built_in_cases

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from ...models.spec import ModelSpec, Plan
    from ...runtimes.backends.base import Array

# Inputs of a file that says nothing about itself.
_FOREIGN_INPUTS = 4
_FLOAT = 1


def built_in_images() -> list[NDArray[np.uint8]]:
    """Return the built-in images, each (H, W, 3) uint8, B G R."""
    return [region.image for case in built_in_cases("dynamic") for region in case.regions]


def network_inputs(spec: ModelSpec, plan: Plan, rows: int = 1) -> list[dict[str, Array]]:
    """Return what the built-in images are to a network, and one input beyond the range of images.

    Args:
        spec: The model.
        plan: How it reads images.
        rows: Batch of each input; the rows are equal.

    Returns:
        For each, an array (rows, 3, H, W) float32 by the name of the input.

    """
    arrays = [spec.preprocess(image, plan.preprocess)[0][None].copy() for image in built_in_images()]
    arrays.append(arrays[0] * np.float32(3))
    return [{spec.input_name: np.repeat(array, rows, axis=0)} for array in arrays]


def drawn_inputs(model: onnx.ModelProto) -> list[dict[str, Array]]:
    """Return noise for the inputs of any file: around zero, and as pixels are.

    Raises:
        ArtifactError: An input is not float32.

    """
    rng = np.random.default_rng(0)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    found = []
    for number in range(_FOREIGN_INPUTS):
        made = {}
        for value in inputs:
            tensor = value.type.tensor_type
            if tensor.elem_type != _FLOAT:
                raise ArtifactError(f"the input {value.name} is not float32", "Such files cannot be compared.")
            shape = [dim.dim_value or 1 for dim in tensor.shape.dim]
            drawn = rng.standard_normal(shape) if number % 2 == 0 else rng.uniform(0, 255, shape)
            made[value.name] = drawn.astype(np.float32)
        found.append(made)
    return found


def batch_of(model: onnx.ModelProto) -> int:
    """Return the batch of a file; 1 where it takes any."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return (dims[0].dim_value if dims else 1) or 1
