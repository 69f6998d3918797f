"""Maps old transformers key names to new ones; drops training-only keys."""

from __future__ import annotations

import re

from ..weights.keys import KeyRules

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
# The pooler belongs to networks without a classifier, the mask token to training on masked images; older versions
# stored the numbers of the positions.
_TRAINING = r"vit\.pooler\.|vit\.embeddings\.mask_token$|.*\bposition_ids$"


def module_key(key: str) -> str:
    """Return the network's key of a tensor, from its old or its new name."""
    old = _OLD_KEY.match(key)
    return f"vit.layers.{old['index']}.{_PARTS.get(old['part'], old['part'])}.{old['kind']}" if old else key


KEYS = KeyRules(training_only=_TRAINING, rename=module_key)
