"""Derives variant and preprocessing from a STAR checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ..spec import Plan, VariantOptions
from ..weights.keys import shapes_of
from .postprocess import PostprocessParams
from .preprocess import PreprocessParams
from .variant import infer_variant

if TYPE_CHECKING:
    from ..weights.checkpoint import Checkpoint


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    if options.labels is not None:
        raise UsageError("landmarks68 finds points, not classes", "Leave --labels out.")
    variant = infer_variant(shapes_of(checkpoint.state))
    params = PreprocessParams()
    return Plan(variant, params.input_size, params, PostprocessParams(), (), {"input_size": "fixed by the network"})
