"""What transformers computes with made-up weights, and a network of the same kind that is small."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from cvport.models.emotion.variant import Variant


class Golden(NamedTuple):
    """Recorded with seed 0.

    Attributes:
        manifest: Keys, both ways, and shapes.
        state: The weights, by the keys of the Hub's files.
        input: (2,3,224,224) noise.
        outputs: ``logits``, ``embeddings_out`` of the first tokens and ``last_hidden_cls`` for it.
        notes: Per picture and part of it: box, logits, probabilities.
        arrays: Network inputs and outputs of the same, and what the reference processor scales them to.

    """

    manifest: dict[str, Any]
    state: dict[str, np.ndarray]
    input: np.ndarray
    outputs: Mapping[str, np.ndarray]
    notes: dict[str, Any]
    arrays: Mapping[str, np.ndarray]


@pytest.fixture(scope="session")
def golden(shared: Path) -> Golden:
    folder = shared / "goldens/emotion"
    if not folder.is_dir():
        pytest.skip(f"the ground truth is not here: {folder}")
    seeded = runpy.run_path(str(shared / "goldens/seeded.py"))
    manifest = json.loads((folder / "manifest.json").read_text())
    return Golden(
        manifest,
        seeded["seeded_state_dict"](manifest, 0),
        seeded["seeded_input"](manifest["input"]["shape_golden"], 0),
        np.load(folder / "golden_seed0.npz"),
        json.loads((folder / "image_seed0.json").read_text()),
        np.load(folder / "image_seed0.npz"),
    )


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


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Threads that wait for a busy core cost a small network far more than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
