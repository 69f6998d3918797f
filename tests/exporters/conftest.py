"""A small network and its exported file: Megvii nano, 3 classes, 160x160, untrained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from cvport.exporters import export as module
from cvport.exporters.export import make_onnx, make_seal, verify
from cvport.exporters.graph import tool_versions
from cvport.exporters.parity import Reference, make_reference
from cvport.exporters.probes import built_in_cases
from cvport.models.checkpoint import Checkpoint
from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.yolox.seeded import seeded_state
from cvport.models.yolox.variant import megvii_variant
from cvport.runtimes.seal import KEY, Seal
from onnx import numpy_helper

SPEC = get_model("yolox")
LEGS = {"torch": {"status": "ran"}, "onnx": {"status": "ran"}}


@dataclass(frozen=True)
class Small:
    """One network with its file and its reference."""

    checkpoint: Checkpoint
    network: Any
    plan: Any
    seal: Seal
    onnx: bytes
    reference: Reference

    def verify(self, folder: Path, data: bytes | None = None, reference: Reference | None = None) -> dict[str, Any]:
        path = folder / "yolox.onnx"
        path.write_bytes(self.onnx if data is None else data)
        return verify(path, reference or self.reference, self.seal, LEGS, self.plan.decided_by)

    def with_sealed(self, part: str, **changes: Any) -> bytes:
        """The file with other values sealed in it."""
        model = onnx.load_from_string(self.onnx)
        (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
        content = json.loads(entry.value)
        content[part] |= changes
        entry.value = json.dumps(content)
        return model.SerializeToString()

    def with_weights(self, name: str, change: Callable[[Any], Any]) -> bytes:
        """The file with one weight tensor changed."""
        model = onnx.load_from_string(self.onnx)
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))
        return model.SerializeToString()

    def build(self, **state: Any) -> Any:
        """The network with some of its tensors replaced."""
        return SPEC.build_network({**self.checkpoint.state, **state}, self.plan.variant)

    def new_reference(
        self, network: Any, *, untrained: bool = True, preprocess: Any = None, postprocess: Any = None
    ) -> Reference:
        """The reference leg of another network, or with other parameters."""
        plan = self.plan._replace(
            preprocess=replace(self.plan.preprocess, **(preprocess or {})),
            postprocess=replace(self.plan.postprocess, **(postprocess or {})),
        )
        return make_reference(SPEC, plan, network, built_in_cases("dynamic"), untrained=untrained, tolerances=())


def make_small(seed: int = 0, size: int = 160, num_classes: int = 3, state: dict[str, Any] | None = None) -> Small:
    state = state or seeded_state(megvii_variant("nano", num_classes), seed)
    checkpoint = Checkpoint(state, f"seeded:{seed}", "0" * 64, untrained=True)
    plan = SPEC.plan(checkpoint, VariantOptions(input_size=(size, size)))
    network = SPEC.build_network(state, plan.variant)
    seal = make_seal(SPEC, checkpoint, plan, "dynamic", tool_versions())
    data = make_onnx(SPEC, network, seal, lambda _step: None)
    reference = make_reference(SPEC, plan, network, built_in_cases("dynamic"), untrained=True, tolerances=())
    return Small(checkpoint, network, plan, seal, data, reference)


@pytest.fixture(scope="session")
def small() -> Small:
    return make_small()


@pytest.fixture(scope="session", name="make_small")
def _make_small() -> Callable[..., Small]:
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
        return module.finish(model, seal)

    monkeypatch.setattr(module, "make_onnx", make_onnx)
