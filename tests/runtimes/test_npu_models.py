"""Every model from the picture to the result on a simulated NPU, beside PyTorch on the CPU."""

from __future__ import annotations

import pytest

import cvport
from cvport.exporters.gate.probes import scene
from cvport.models.weights.files import seeded_checkpoint
from cvport.runtimes.kinds.registry import get_kind

BOXES = [(20.0, 10.0, 110.0, 80.0), (5.0, 30.0, 60.0, 90.0)]


def difference(expected, found):
    """The largest difference that a user would see: of a score, or of a point in pixels."""
    stats = get_kind(expected.kind).measure(expected, found)
    if isinstance(expected, cvport.Detections):
        assert len(stats.pairs) == len(expected) > 0
        assert not stats.unmatched
        assert all(pair.labels[0] == pair.labels[1] for pair in stats.pairs)
        return max(pair.score for pair in stats.pairs)
    if isinstance(expected, cvport.Landmarks):
        return stats.max
    assert stats.top1
    return stats.max_prob


@pytest.fixture
def results(npu, monkeypatch):
    """Run a model with untrained weights on both backends."""

    def run(name, options):
        spec = cvport.get_model(name)
        checkpoint = seeded_checkpoint(spec, 0)
        # Made once: of a large network they take longer than everything else.
        monkeypatch.setattr("cvport.models.weights.files.open_weights", lambda *_, **_options: checkpoint)
        picture = scene(90, 120, seed=0)
        faces = BOXES if spec.takes_boxes else None
        choice = {"score_threshold": 0.2} if spec.kind == "detections" else {}
        found = {}
        for backend, device in (("torch", "cpu"), ("npu", "npu:0")):
            with cvport.load(name, backend=backend, weights="seeded", options=options, **choice) as made:
                found[backend] = made(picture, face_boxes=faces)
                assert made.backend.device == device
        return found["torch"], found["npu"]

    return run


@pytest.mark.parametrize(
    ("name", "options", "limit"),
    [
        ("yolox", cvport.VariantOptions(input_size=(160, 160)), 1e-5),
        ("nanodet", None, 1e-5),
        ("hand_static", None, 1e-5),
        ("landmarks68", None, 1e-2),
        ("emotion", None, 1e-5),
    ],
)
def test_every_model_from_picture_to_result(results, name, options, limit):
    expected, found = results(name, options)
    assert difference(expected, found) < limit


def test_every_model_is_in_the_table_above():
    (mark,) = test_every_model_from_picture_to_result.pytestmark
    assert [row[0] for row in mark.args[1]] == cvport.list_models()
