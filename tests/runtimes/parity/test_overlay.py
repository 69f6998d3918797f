"""Two results drawn over one image."""

from __future__ import annotations

import numpy as np

from cvport import Classification, Detections
from cvport.runtimes.kinds.registry import get_kind
from cvport.runtimes.parity.compare import compare_results
from cvport.runtimes.parity.defaults import default_limits
from cvport.runtimes.parity.overlay import overlay

IMAGE = np.full((200, 300, 3), 128, np.uint8)
GREEN, MAGENTA, RED = (60, 170, 0), (220, 60, 255), (30, 30, 230)  # B G R


def detections(*boxes, label="cat"):
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.full(count, 0.5, np.float32),
        np.zeros(count, np.int64),
        (label,) * count,
    )


def drawn(first, second):
    kind = get_kind(first.kind)
    limits = default_limits(kind, [], ["fp32"])
    return overlay(IMAGE, compare_results(kind, "a", (first, second), limits))


def count(image, colour):
    return int((image == colour).all(axis=2).sum())


def test_pairs_are_green_and_magenta_and_what_is_alone_is_red():
    both = drawn(detections((10, 20, 90, 120)), detections((14, 20, 90, 120)))
    assert count(both, GREEN) > 400
    assert count(both, MAGENTA) > 100
    assert count(both, RED) == 0
    alone = drawn(detections((10, 20, 90, 120), (150, 50, 250, 150)), detections((10, 20, 90, 120)))
    assert count(alone, RED) > 400
    assert (IMAGE == 128).all(), "the image itself stays"


def test_other_labels_are_written():
    same = drawn(detections((10, 40, 90, 120)), detections((10, 40, 90, 120)))
    other = drawn(detections((10, 40, 90, 120)), detections((10, 40, 90, 120), label="dog"))
    assert (same != other).any()


def test_results_without_a_place_stand_side_by_side():
    scores = np.array([0.2, 0.8], np.float32)
    image = drawn(Classification(scores, ("a", "b")), Classification(scores[::-1].copy(), ("a", "b")))
    assert image.shape == (200, 600, 3)
    assert (image[:, :300] != image[:, 300:]).any()
