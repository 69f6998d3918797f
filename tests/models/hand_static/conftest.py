"""What upstream's code computes with made-up weights, and a network of the same kind that is small."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from cvport.models.hand_static.variant import DEFAULT_VARIANT, Variant


class Golden(NamedTuple):
    """Recorded with seed 0.

    Attributes:
        manifest: Keys and shapes.
        state: The weights.
        input: (2,3,112,112) noise.
        outputs: ``output``, ``logits`` and ``embedding`` for it.
        notes: Per picture and part of it: the scores, the label.
        arrays: Network inputs and outputs of the same.

    """

    manifest: dict[str, Any]
    state: dict[str, np.ndarray]
    input: np.ndarray
    outputs: Mapping[str, np.ndarray]
    notes: dict[str, Any]
    arrays: Mapping[str, np.ndarray]


@pytest.fixture(scope="session")
def golden(shared: Path) -> Golden:
    folder = shared / "goldens/hand_static"
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


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Threads that wait for a busy core cost a small network far more than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
