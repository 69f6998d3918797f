"""Derives variant, preprocessing and labels from the checkpoint of a gesture classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..labels import choose_labels
from ..spec import Plan, VariantOptions
from ..weights.keys import shapes_of
from .postprocess import PostprocessParams
from .preprocess import PreprocessParams
from .spec import SPEC
from .variant import infer_variant

if TYPE_CHECKING:
    from ..weights.checkpoint import Checkpoint


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    variant = infer_variant(shapes_of(checkpoint.state))
    labels, labels_by = choose_labels(SPEC, variant.num_classes, options, ())
    size = variant.input_size
    return Plan(variant, size, PreprocessParams(size), PostprocessParams(), labels, {"labels": labels_by})
