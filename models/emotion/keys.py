"""The keys of checkpoints: the two ways in which they are called, and what inference does not need."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from ...errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    StateDict = Mapping[str, Tensor | NDArray[Any]]

_log = logging.getLogger(__name__)

# transformers 5.9 renamed the modules of the network. Files keep the names from before: it translates whenever it reads
# or writes one (transformers/conversion_mapping.py, ViTModel).
_OLD_KEY = re.compile(r"vit\.encoder\.layer\.(?P<index>\d+)\.(?P<part>.+)\.(?P<kind>weight|bias)$")
_PARTS = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
# The pooler belongs to networks without a classifier, the mask token to training on masked pictures; older versions
# stored the numbers of the positions.
_TRAINING = re.compile(r"vit\.pooler\.|vit\.embeddings\.mask_token$|.*\bposition_ids$")


def module_key(key: str) -> str:
    """Return the key by which the network has a tensor, from either of its names."""
    old = _OLD_KEY.match(key)
    return f"vit.layers.{old['index']}.{_PARTS.get(old['part'], old['part'])}.{old['kind']}" if old else key


def for_inference(state: StateDict) -> StateDict:
    """Call every tensor as the network does, and leave out what only training needs.

    Args:
        state: Tensors or arrays by key, wrapper prefixes removed.

    Raises:
        WeightsError: A tensor is there under both of its names.

    """
    used = [key for key in state if not _TRAINING.match(key)]
    if dropped := len(state) - len(used):
        _log.info("left out %d tensors that only training needs", dropped)
    renamed = {module_key(key): state[key] for key in used}
    if len(renamed) < len(used):
        twice = next(key for key in used if module_key(key) != key and module_key(key) in state)
        raise WeightsError(
            f"these weights hold the same tensor twice: {twice} and {module_key(twice)}",
            "Save the network's own state dict again, without the copies.",
        )
    return renamed
