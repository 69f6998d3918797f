"""What upstream's code computes with made-up weights, and a network of the same kind that is small."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cvport.models.hand_static.variant import DEFAULT_VARIANT, Variant
from helpers.goldens import Golden, load_golden


@pytest.fixture(scope="session")
def golden() -> Golden:
    return load_golden("hand_static")


@pytest.fixture(scope="session")
def small() -> Variant:
    """Structurally complete and quick; 32x32."""
    return replace(
        DEFAULT_VARIANT,
        stem=16,
        widths=(16, 16, 32),
        halving=(32, 32, 48),
        expanded=(32, 48, 48),
        repeats=(1, 3, 2),
        features=64,
        grid=2,
        embedding_size=56,
        hidden=16,
    )
