"""Derives variant, preprocessing and labels from a ViT checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import WeightsError
from ..labels import choose_labels
from ..spec import Plan, VariantOptions
from ..weights.keys import shapes_of
from .postprocess import PostprocessParams
from .preprocess import PreprocessParams
from .spec import SPEC
from .variant import infer_variant

if TYPE_CHECKING:
    from ..weights.checkpoint import Checkpoint

# Names that transformers writes where nobody named the classes.
_PLACEHOLDER = re.compile(r"LABEL_\d+$")


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    config = checkpoint.config
    variant = infer_variant(shapes_of(checkpoint.state), config)
    labels, labels_by = choose_labels(SPEC, variant.num_classes, options, _labels(config, variant.num_classes))
    decided_by = {
        name: "checkpoint config" if key in config else "model default"
        for name, key in (("heads", "num_attention_heads"), ("activation", "hidden_act"))
    }
    preprocess = PreprocessParams(variant.image_size)
    return Plan(
        variant, variant.image_size, preprocess, PostprocessParams(), labels, {**decided_by, "labels": labels_by}
    )


def _labels(config: Mapping[str, Any], classes: int) -> tuple[str, ...]:
    """Return the class names of a configuration in the order of their numbers; none where it has no real ones.

    Raises:
        WeightsError: They do not number the network's classes.

    """
    names = config.get("id2label") or {}
    if isinstance(names, Mapping) and all(_PLACEHOLDER.match(str(name)) for name in names.values()):
        return ()
    try:
        by_number = {int(number): str(name) for number, name in names.items()}
    except (AttributeError, ValueError):
        by_number = {}
    if sorted(by_number) != list(range(classes)):
        raise WeightsError(
            f"id2label of the checkpoint's configuration does not name the {classes} classes 0 to {classes - 1}",
            "Use the config.json that belongs to the weights, or the weights file alone.",
        )
    return tuple(by_number[number] for number in range(classes))
