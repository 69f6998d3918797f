"""What transformers computes with made-up weights, and a network of the same kind that is small."""

from __future__ import annotations

import pytest

from cvport.models.emotion.variant import Variant
from helpers.goldens import Golden, load_golden


@pytest.fixture(scope="session")
def golden() -> Golden:
    return load_golden("emotion")


@pytest.fixture(scope="session")
def small() -> Variant:
    """Structurally complete and quick."""
    return Variant(hidden=128, layers=2, heads=2, intermediate=192, patch=16, image_size=(48, 48), num_classes=7)


@pytest.fixture(scope="session")
def published():
    """``published(state)``: by the keys that the Hub's files have."""
    parts = {
        ".attention.q_proj.": ".attention.attention.query.",
        ".attention.k_proj.": ".attention.attention.key.",
        ".attention.v_proj.": ".attention.attention.value.",
        ".attention.o_proj.": ".attention.output.dense.",
        ".mlp.fc1.": ".intermediate.dense.",
        ".mlp.fc2.": ".output.dense.",
        "vit.layers.": "vit.encoder.layer.",
    }

    def rename(state):
        renamed = {}
        for key, value in state.items():
            for new, old in parts.items():
                key = key.replace(new, old)  # noqa: PLW2901
            renamed[key] = value
        return renamed

    return rename
