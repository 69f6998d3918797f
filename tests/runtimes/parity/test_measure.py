"""Figures of points and classes, against values worked out by hand."""

import math

import numpy as np
import pytest
from cvport import Classification, Landmarks
from cvport.runtimes.parity.measure import measure_classes, measure_landmarks

ZERO = Landmarks(np.zeros((1, 68, 2), np.float32))


def moved(*distances):
    """ZERO with the first points moved by (0.6, 0.8) times these, a length of 1."""
    points = ZERO.points.copy()
    points[0, : len(distances)] = np.array(distances, np.float32)[:, None] * np.float32([0.6, 0.8])
    return Landmarks(points)


def test_distances_of_points():
    figures = measure_landmarks(ZERO, moved(2.0, 0.75))
    expected = np.array([2.0, 0.75, *[0.0] * 66])
    assert figures["max"] == pytest.approx(2)
    assert figures["mean"] == pytest.approx(2.75 / 68)
    assert figures["std"] == pytest.approx(expected.std())
    assert figures["p99"] == pytest.approx(np.quantile(expected, 0.99))
    assert figures["p95"] == 0
    assert (figures["under_half"], figures["under_one"]) == (pytest.approx(66 / 68), pytest.approx(67 / 68))


def test_another_number_of_faces_has_no_distances():
    two = Landmarks(np.zeros((2, 68, 2), np.float32))
    figures = measure_landmarks(ZERO, two)
    assert (figures["reference"], figures["candidate"]) == (1, 2)
    assert math.isnan(figures["max"])


def classes(*scores):
    return Classification(np.array(scores, np.float32), ("a", "b", "c"))


def test_scores_of_classes():
    figures = measure_classes(classes(0.5, 0.3, 0.2), classes(0.5, 0.25, 0.25))
    assert figures["top1"]
    assert figures["max_prob"] == pytest.approx(0.05)
    assert figures["mean_prob"] == pytest.approx(0.1 / 3)
    assert figures["margin"] == pytest.approx(0.2)  # over the runner-up
    dot, norms = 0.25 + 0.075 + 0.05, math.sqrt(0.38 * 0.375)
    assert figures["cosine"] == pytest.approx(dot / norms)


def test_margin_of_a_flip_is_the_lead_over_the_other_best():
    figures = measure_classes(classes(0.5, 0.3, 0.2), classes(0.1, 0.2, 0.7))
    assert not figures["top1"]
    assert figures["margin"] == pytest.approx(0.3)
