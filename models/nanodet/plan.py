"""What a NanoDet-Plus-m checkpoint turns into: variant, preprocessing, labels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import WeightsError
from ..spec import Plan, VariantOptions, choose_labels
from .postprocess import PostprocessParams
from .preprocess import PreprocessParams
from .spec import SPEC
from .variant import DEFAULT_VARIANT, PROJECT, infer_variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from ..weights.checkpoint import Checkpoint

    StateDict = Mapping[str, Tensor | NDArray[Any]]

_log = logging.getLogger(__name__)

# Of the published detector and of nanodet-plus-m_320.yml; keys and shapes of networks trained at 416 are the same.
_SIZE = (320, 320)
# Heads that guide training (model/arch/nanodet_plus.py of RangiLyu/nanodet); a quarter of a training checkpoint.
_AUXILIARY = ("aux_fpn.", "aux_head.")


def plan(checkpoint: Checkpoint, options: VariantOptions) -> Plan:
    """Decide what a checkpoint turns into; see `ModelSpec.plan`."""
    variant = infer_variant({key: tuple(value.shape) for key, value in checkpoint.state.items()})
    input_size, size_by = (options.input_size, "option") if options.input_size else (_SIZE, "model default")
    labels, labels_by = choose_labels(SPEC, variant.num_classes, options, ())
    decided_by = {"input_size": size_by, "labels": labels_by}
    return Plan(variant, input_size, PreprocessParams(input_size), PostprocessParams(), labels, decided_by)


def seeded(seed: int) -> dict[str, NDArray[np.generic]]:
    """Return untrained weights of the default variant: NanoDet-Plus-m with person, face and hand."""
    from .recipe import seeded_state

    return seeded_state(DEFAULT_VARIANT, seed)


def for_inference(state: StateDict) -> StateDict:
    """Drop the auxiliary heads, and write down the numbers of the bins where a checkpoint leaves them out.

    Args:
        state: Tensors or arrays by key, wrapper prefixes removed.

    Raises:
        WeightsError: The stored numbers are not 0, 1, 2 ..., by which boxes are decoded.

    """
    kept = {key: value for key, value in state.items() if not key.startswith(_AUXILIARY)}
    if dropped := len(state) - len(kept):
        _log.info("left out %d tensors of the auxiliary heads, which only training needs", dropped)
    bins = infer_variant({key: tuple(getattr(value, "shape", ())) for key, value in kept.items()}).reg_max + 1
    expected = np.arange(bins, dtype=np.float32)
    stored = kept.setdefault(PROJECT, expected)
    # Of another shape, it is for strict loading to refuse.
    if getattr(stored, "shape", ()) == expected.shape and [float(number) for number in stored] != expected.tolist():
        raise WeightsError(f"{PROJECT} does not hold 0 to {bins - 1}", "Check that the file is not damaged.")
    return kept
