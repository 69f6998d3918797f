"""A small network and its exported file: Megvii nano, 3 classes, 160x160, untrained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
import torch

from cvport.exporters import export as module
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.yolox.spec import SPEC
from helpers.gate import Exported
from helpers.yolox import megvii_variant


def make_small(seed: int = 0, size: int = 160, num_classes: int = 3, state: dict[str, Any] | None = None) -> Exported:
    state = state or SPEC.seeded(seed, megvii_variant("nano", num_classes))
    checkpoint = Checkpoint(state, f"seeded:{seed}", "0" * 64, untrained=True)
    return Exported(SPEC, checkpoint, VariantOptions(input_size=(size, size)))


@pytest.fixture(scope="session")
def small() -> Exported:
    return make_small()


@pytest.fixture(scope="session", name="make_small")
def _make_small() -> Callable[..., Exported]:
    return make_small


@pytest.fixture
def weights(small, tmp_path):
    path = tmp_path / "nano.pth"
    torch.save({"model": {key: torch.from_numpy(value) for key, value in small.checkpoint.state.items()}}, path)
    return path


@pytest.fixture
def quick(small, monkeypatch):
    """Reuse one traced graph, sealed anew: tracing is the same each time and takes most of an export."""

    def make_onnx(_spec, _network, seal, progress):
        progress("tracing the network")
        model = onnx.load_from_string(small.onnx)
        return module.MadeFile(module.finish(model, seal), small.structure, small.nodes)

    monkeypatch.setattr(module, "make_onnx", make_onnx)
