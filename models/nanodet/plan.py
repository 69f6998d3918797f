"""Derives variant, preprocessing and labels from a NanoDet-Plus-m checkpoint."""

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

# Input size of the published detector and of nanodet-plus-m_320.yml. Networks trained at 416 have the same keys and
# shapes.
_SIZE = (320, 320)


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    variant = infer_variant(shapes_of(checkpoint.state))
    input_size, size_by = (options.input_size, "option") if options.input_size else (_SIZE, "model default")
    labels, labels_by = choose_labels(SPEC, variant.num_classes, options, ())
    decided_by = {"input_size": size_by, "labels": labels_by}
    return Plan(variant, input_size, PreprocessParams(input_size), PostprocessParams(), labels, decided_by)
