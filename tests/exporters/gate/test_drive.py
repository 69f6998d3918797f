"""Inputs that drive a network: inner values go beyond those of photographs, and a cache changes nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvport.exporters.gate import drive
from cvport.exporters.gate.drive import driven_inputs, search
from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.files import open_weights
from helpers.shared import ground_truth


def ranges(network, inputs):
    """The smallest and the largest value of every layer's output, as (2, layers)."""
    found = []

    def collect(_module, _inputs, output):
        if isinstance(output, torch.Tensor):
            found.append((float(output.min()), float(output.max())))

    hooks = [m.register_forward_hook(collect) for m in network.modules() if not any(m.children())]
    with torch.inference_mode():
        reached = []
        for row in inputs:
            found.clear()
            network(torch.from_numpy(row[None]))
            reached.append(np.array(found).T)
    for hook in hooks:
        hook.remove()
    reached = np.array(reached)
    return np.stack([reached[:, 0].min(axis=0), reached[:, 1].max(axis=0)])


def beyond(probes, photo):
    """The share of layers at which a photograph goes more than a tenth beyond the probes."""
    low, high = (photo[0] < np.minimum(1.1 * probes[0], 0) - 1e-6), (photo[1] > 1.1 * np.maximum(probes[1], 0) + 1e-6)
    return float((low | high).mean())


def scikit_photos():
    import skimage

    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "ihc.png")
    return [cv2.imread(str(Path(skimage.__file__).parent / "data" / name)) for name in names]


def check_photos(spec, plan, network, reference, photos):
    probes = ranges(network, np.concatenate([case.inputs for case in reference.cases]))
    shares = [beyond(probes, ranges(network, [spec.preprocess(photo, plan.preprocess)[0]])) for photo in photos]
    assert max(shares) <= 0.05, shares
    # Images alone do not do it: the search is what does.
    alone = ranges(network, np.concatenate([case.inputs for case in reference.cases if case.regions]))
    assert max(beyond(alone, ranges(network, [spec.preprocess(p, plan.preprocess)[0]])) for p in photos) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights", "options"),
    [
        ("yolox", "yolox_nano_coco.safetensors", VariantOptions(preprocess="megvii")),
        ("yolox", "yolox_nano_hand.safetensors", VariantOptions(preprocess="easycv")),
        ("nanodet", "nanodet_plus_coco.safetensors", VariantOptions(input_size=(416, 416))),
    ],
)
def test_photographs_stay_within_what_the_probes_reach(name, weights, options):
    from cvport.exporters.gate.probes import built_in_cases
    from cvport.exporters.gate.reference import make_reference

    spec, checkpoint = get_model(name), open_weights(get_model(name), ground_truth(f"real/{weights}"))
    plan = spec.plan(checkpoint, options)
    network = spec.build_network(checkpoint.state, plan.variant)
    reference = make_reference(spec, plan, network, built_in_cases("dynamic"), untrained=False, tolerances=())
    photos = [cv2.imread(str(path)) for path in sorted(ground_truth("real/images").iterdir())]
    check_photos(spec, plan, network, reference, [*photos, *scikit_photos()])


def test_the_search_goes_beyond_where_it_starts(small):
    start = small.reference.cases[0].inputs
    low, high = float(start.min()), float(start.max())
    found = search(small.network, start, low, high)
    assert found.shape == start.shape
    assert low <= found.min() <= found.max() <= high
    before, after = ranges(small.network, start), ranges(small.network, found)
    wider = (after[1] > before[1]) | (after[0] < before[0])
    assert wider.mean() > 0.8
    assert np.median(after[1] / before[1]) > 1.2


def test_the_search_is_made_once_for_the_same_weights(small, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def count(network, start, low, high):
        calls.append(1)
        return np.full_like(start, low)

    monkeypatch.setattr(drive, "search", count)
    start = small.reference.cases[0].inputs
    first, again = (driven_inputs(lambda: small.network, "key", start, -1.0, 1.0)["searched"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(calls) == 1
    driven_inputs(lambda: small.network, "another key", start, -1.0, 1.0)
    assert len(calls) == 2, "other weights"


@pytest.mark.parametrize("damage", ["cut", "shape", "range"])
def test_a_damaged_cache_is_searched_for_again(small, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(drive, "search", lambda _network, start, low, _high: np.full_like(start, low))
    start = small.reference.cases[0].inputs
    driven_inputs(lambda: small.network, "key", start, -1.0, 1.0)
    (kept,) = (tmp_path / "cvport/gate").iterdir()
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:50])
    else:
        np.save(kept, np.zeros((1, 3, 8, 8), np.float32) if damage == "shape" else np.full_like(start, np.nan))
    assert driven_inputs(lambda: small.network, "key", start, -1.0, 1.0)["searched"].max() == -1.0


def test_a_cache_that_cannot_be_written_is_no_error(small, tmp_path, monkeypatch):
    (tmp_path / "cvport").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(drive, "search", lambda _network, start, low, _high: np.full_like(start, low))
    assert driven_inputs(lambda: small.network, "key", small.reference.cases[0].inputs, -1.0, 1.0)["flat"].shape[0] == 2
