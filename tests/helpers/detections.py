"""Comparing detections in tests."""

from __future__ import annotations

import numpy as np

import cvport


def assert_same(found, expected, pixels=1e-3, scores=1e-5):
    assert found.labels == expected.labels
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=scores)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=pixels)


def take(result, index):
    ids = result.class_ids[index]
    return cvport.Detections(result.boxes[index], result.scores[index], ids, tuple(f"class_{i}" for i in ids))


def assert_same_in_any_order(found, expected, pixels=0.01, scores=1e-4):
    """Compare detections of two runtimes, whose scores may swap places by rounding."""
    assert len(found) == len(expected)
    assert_same(*(_by_place(result) for result in (found, expected)), pixels, scores)


def _by_place(result):
    order = np.lexsort((*result.boxes.round().T, result.class_ids))
    return take(result, order)
