"""A small network as a file and as torch traces it, shared by the tests of a search."""

from __future__ import annotations

import json

import onnx
import pytest

from cvport.exporters.bisect import pairs, taps
from cvport.exporters.graphs.nodes import NODES
from cvport.models.weights.digest import sha256_file
from cvport.runtimes.seal import KEY
from mutation.searches import Searched


@pytest.fixture(scope="session")
def searched(small):
    return Searched(small)


@pytest.fixture
def traced_once(searched, monkeypatch):
    """Reuse one traced graph: tracing is the same each time and takes most of a search."""
    for module in (pairs, taps):
        monkeypatch.setattr(module, "trace_program", lambda *_: searched.traced)
    monkeypatch.setattr(taps, "simplify", lambda _: searched.model)


@pytest.fixture
def file(small, tmp_path):
    """The exported file with its nodes.json."""
    path = tmp_path / "yolox.onnx"
    path.write_bytes(small.onnx)
    path.with_name(NODES).write_text(small.nodes)
    return path


@pytest.fixture
def spoiled(small, tmp_path):
    """The same with one convolution's weights two percent too large."""
    path = tmp_path / "spoiled" / "yolox.onnx"
    path.parent.mkdir()
    path.write_bytes(small.with_weights("head.reg_preds.1.weight", lambda value: value * 1.02))
    path.with_name(NODES).write_text(small.nodes)
    return path


@pytest.fixture
def sealed_weights(small, file, spoiled, weights):
    """Weights that the files say they were made from."""
    for path in (file, spoiled):
        model = onnx.load(path)
        (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
        content = json.loads(entry.value)
        content["weights"] |= {"sha256": sha256_file(weights), "untrained": False}
        entry.value = json.dumps(content)
        onnx.save(model, path)
    return weights
