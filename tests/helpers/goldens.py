"""Recorded results: what upstream's code computes with made-up weights."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers.shared import ground_truth


class Golden(NamedTuple):
    """Results for one seed.

    Attributes:
        manifest: Keys and shapes of the weights, from which they are made.
        state: The weights.
        input: Noise of the shape that the network takes.
        outputs: The network's outputs for it, and what is recorded of its inner values.
        notes: By image and part of it: boxes, scores, labels. Empty where no image is recorded.
        arrays: Network inputs and outputs of the same.

    """

    manifest: dict[str, Any]
    state: dict[str, np.ndarray]
    input: np.ndarray
    outputs: Mapping[str, np.ndarray]
    notes: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def load_golden(model: str, outputs: str = "golden_seed0.npz") -> Golden:
    """Load what is recorded of a model with seed 0; skip the test where the ground truth is not."""
    folder = ground_truth(f"goldens/{model}")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    state = _seeded()["seeded_state_dict"](manifest, 0)
    if (folder / "constants.npz").is_file():
        state |= dict(np.load(folder / "constants.npz"))
    pixels = _seeded()["seeded_input"](manifest["input"]["shape_golden"], 0)
    notes = json.loads((folder / "image_seed0.json").read_text(encoding="utf-8"))
    return Golden(manifest, state, pixels, np.load(folder / outputs), notes, np.load(folder / "image_seed0.npz"))


def load_golden_yolox(config: str, seed: int = 0) -> Golden:
    """Load what is recorded of one of the YOLOX networks; skip the test where the ground truth is not."""
    folder = ground_truth(f"goldens/yolox/{config}")
    outputs = ground_truth(f"goldens/yolox/{config}/golden_seed{seed}.npz")
    manifests = runpy.run_path(str(ground_truth("goldens/yolox_manifest.py")))
    manifest = manifests["manifest_for_seed"](str(folder / "manifest.json"), seed)
    state = _seeded()["seeded_state_dict"](manifest, seed)
    return Golden(manifest, state, _seeded()["seeded_input"](manifest["input_shape"], seed), np.load(outputs), {}, {})


@cache
def _seeded() -> dict[str, Any]:
    path: Path = ground_truth("goldens/seeded.py")
    return runpy.run_path(str(path))
