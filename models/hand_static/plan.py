"""What the checkpoint of a gesture classifier turns into: variant, preprocessing, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spec import Plan, VariantOptions, choose_labels
from .postprocess import PostprocessParams
from .preprocess import PreprocessParams
from .spec import SPEC
from .variant import DEFAULT_VARIANT, infer_variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..weights.checkpoint import Checkpoint


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    variant = infer_variant({key: tuple(value.shape) for key, value in checkpoint.state.items()})
    labels, labels_by = choose_labels(SPEC, variant.num_classes, options, ())
    size = variant.input_size
    return Plan(variant, size, PreprocessParams(size), PostprocessParams(), labels, {"labels": labels_by})


def seeded(seed: int) -> dict[str, NDArray[np.generic]]:
    """Return untrained weights of the default variant: the published network's structure, 15 classes."""
    from .recipe import seeded_state

    return seeded_state(DEFAULT_VARIANT, seed)
