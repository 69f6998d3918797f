"""Fixtures that several folders share: recorded results of the original implementations, an exported network."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


class Golden(NamedTuple):
    """What upstream's code computes with made-up weights."""

    manifest: dict[str, Any]
    state: dict[str, np.ndarray]
    input: np.ndarray
    outputs: Mapping[str, np.ndarray]


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the ground truth is not here: {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def real(shared: Path) -> Path:
    """Trained weights, photos, and what the original runtimes find in them."""
    folder = shared / "real"
    if not folder.is_dir():
        pytest.skip(f"the trained weights are not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def golden_yolox(shared: Path) -> Callable[[str, int], Golden]:
    """``golden_yolox(config, seed)``."""
    seeded = _module(shared / "goldens/seeded.py")
    manifests = _module(shared / "goldens/yolox_manifest.py")

    def load(config: str, seed: int = 0) -> Golden:
        folder = shared / "goldens/yolox" / config
        path = folder / f"golden_seed{seed}.npz"
        if not path.is_file():
            pytest.skip(f"the ground truth is not here: {path}")
        manifest = manifests.manifest_for_seed(str(folder / "manifest.json"), seed)
        state = seeded.seeded_state_dict(manifest, seed)
        return Golden(manifest, state, seeded.seeded_input(manifest["input_shape"], seed), np.load(path))

    return load


@pytest.fixture(scope="session")
def golden_nanodet(shared: Path) -> Golden:
    """Three classes, seed 0, 320x320."""
    folder = shared / "goldens/nanodet"
    if not folder.is_dir():
        pytest.skip(f"the ground truth is not here: {folder}")
    seeded = _module(shared / "goldens/seeded.py")
    manifest = json.loads((folder / "manifest.json").read_text())
    state = seeded.seeded_state_dict(manifest, 0) | dict(np.load(folder / "constants.npz"))
    pixels = seeded.seeded_input(manifest["input"]["shape_golden"], 0)
    return Golden(manifest, state, pixels, np.load(folder / "golden_seed0.npz"))


@pytest.fixture(scope="session")
def golden_landmarks68(shared: Path) -> Golden:
    """300W, seed 0."""
    folder = shared / "goldens/landmarks68"
    if not folder.is_dir():
        pytest.skip(f"the ground truth is not here: {folder}")
    seeded = _module(shared / "goldens/seeded.py")
    manifest = json.loads((folder / "manifest.json").read_text())
    state = seeded.seeded_state_dict(manifest, 0) | dict(np.load(folder / "constants.npz"))
    pixels = seeded.seeded_input(manifest["input"]["shape_golden"], 0)
    return Golden(manifest, state, pixels, np.load(folder / "golden_small_seed0.npz"))


@pytest.fixture
def npu() -> Iterator[Any]:
    """A machine with one simulated Ascend device; its knobs may be turned, see tests/npu_sim/machine.py."""
    import npu_sim

    reason = npu_sim.why_not()
    if reason:
        pytest.skip(reason)
    with npu_sim.plug_in() as machine:
        yield machine


class NanoArtifact(NamedTuple):
    """A small network that was exported, and where it came from."""

    onnx: Path
    weights: Path


def export_nano(folder: Path, batch: str | int = "dynamic") -> NanoArtifact:
    """Export Megvii's nano with made-up weights, 3 classes, at 160x160."""
    import cvport
    import torch
    from cvport.models.yolox.spec import SPEC
    from helpers.yolox import megvii_variant

    state = SPEC.seeded(0, megvii_variant("nano", 3))
    weights = folder / "nano.pth"
    torch.save({"model": {key: torch.from_numpy(value) for key, value in state.items()}}, weights)
    options = cvport.VariantOptions(input_size=(160, 160))
    artifact = cvport.export("yolox", weights=weights, options=options, output=folder / "artifacts", batch=batch)
    return NanoArtifact(artifact.onnx, weights)


@pytest.fixture(scope="session")
def nano_artifact(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """Do not write to its folder."""
    return export_nano(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="session")
def nano_batch_2(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """The same network in a file that takes two pictures at a time."""
    return export_nano(tmp_path_factory.mktemp("nano_batch_2"), batch=2)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
