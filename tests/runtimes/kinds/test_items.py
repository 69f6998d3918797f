"""Rows for each compared item, what they come to together, and where the items are."""

from __future__ import annotations

import numpy as np
import pytest

from cvport.models.results import Classification, Detections, Landmarks
from cvport.runtimes.kinds.classes import KIND as CLASSES
from cvport.runtimes.kinds.detections import KIND as DETECTIONS
from cvport.runtimes.kinds.landmarks import KIND as LANDMARKS


def detections(*rows):
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[1] for row in rows], np.float32)
    labels = tuple(row[2] for row in rows)
    return Detections(boxes, scores, np.zeros(len(rows), np.int64), labels)


A = detections(((10, 10, 50, 50), 0.9, "cat"), ((100, 100, 150, 160), 0.5, "dog"), ((200, 0, 240, 40), 0.4, "cat"))
B = detections(((10, 10, 51, 50), 0.875, "cat"), ((100, 100, 150, 160), 0.5, "cow"), ((0, 200, 40, 240), 0.3, "owl"))


def test_detections_pair_by_pair():
    stats = DETECTIONS.measure(A, B)
    first, second, lost, won = DETECTIONS.items(stats)
    assert (first["label"], first["other_label"], first["same"]) == ("cat", "cat", True)
    assert first["score_difference"] == pytest.approx(-0.025)
    assert [first[name] for name in ("dx1", "dy1", "dx2", "dy2")] == [0, 0, 1, 0]
    assert first["iou"] == pytest.approx(1600 / 1640)
    assert (second["label"], second["other_label"], second["same"], second["score_difference"]) == (
        "dog",
        "cow",
        False,
        0,
    )
    assert (lost["label"], lost["other_label"]) == ("cat", "")
    assert lost["score"] == pytest.approx(0.4)
    assert (won["label"], won["other_label"]) == ("", "owl")
    assert won["other_score"] == pytest.approx(0.3)


def test_totals_of_detections_by_class():
    rows = DETECTIONS.items(DETECTIONS.measure(A, B))
    totals = {row["label"]: row for row in DETECTIONS.totals(rows)}
    assert list(totals) == ["cat", "dog", "owl", "*"]
    assert (totals["cat"]["items"], totals["cat"]["same"]) == (2, 1)
    assert totals["cat"]["max_px"] == 1
    assert totals["*"]["items"] == 4
    assert totals["*"]["mean_px"] == pytest.approx(1 / 8)
    assert np.isnan(totals["owl"]["max_px"])
    assert DETECTIONS.totals([]) == []


def test_marks_of_detections():
    pairs = DETECTIONS.marks(A, B, DETECTIONS.measure(A, B))
    assert len(pairs) == 4
    first, other = pairs[0]
    assert first.outline
    assert first.label == "cat"
    assert first.points.tolist() == [[10, 10], [50, 10], [50, 50], [10, 50]]
    assert other.points[1].tolist() == [51, 10]
    assert [(a is None, b is None) for a, b in pairs[2:]] == [(False, True), (True, False)]


def landmarks(offset):
    points = np.arange(12, dtype=np.float32).reshape(2, 3, 2) * 10
    points[1, 2] += offset
    return Landmarks(points)


def test_landmarks_point_by_point():
    first, second = landmarks((0, 0)), landmarks((3, -4))
    stats = LANDMARKS.measure(first, second)
    rows = LANDMARKS.items(stats)
    assert len(rows) == 6
    assert rows[5] == {"face": 1, "point": 2, "dx": 3.0, "dy": -4.0, "distance": 5.0}
    total, *points = LANDMARKS.totals(rows)
    assert (total["point"], total["items"], total["max"]) == ("*", 6, 5.0)
    assert total["mean"] == pytest.approx(5 / 6)
    assert total["under_half"] == pytest.approx(5 / 6)
    assert [(row["point"], row["items"], row["max"]) for row in points] == [(0, 2, 0.0), (1, 2, 0.0), (2, 2, 5.0)]
    pairs = LANDMARKS.marks(first, second, stats)
    assert len(pairs) == 2
    assert not pairs[0][0].outline


def test_another_number_of_faces_has_no_rows():
    first, second = landmarks((0, 0)), Landmarks(np.zeros((1, 3, 2), np.float32))
    stats = LANDMARKS.measure(first, second)
    assert LANDMARKS.items(stats) == []
    assert LANDMARKS.totals([]) == []
    assert [(a is None, b is None) for a, b in LANDMARKS.marks(first, second, stats)] == [
        (False, True),
        (False, True),
        (True, False),
    ]


def test_classes_side_by_side():
    labels = ("a", "b", "c")
    first = Classification(np.array([0.2, 0.5, 0.3], np.float32), labels)
    second = Classification(np.array([0.35, 0.25, 0.4], np.float32), labels)
    rows = CLASSES.items(CLASSES.measure(first, second))
    assert [(row["rank"], row["label"], row["other_label"], row["same"]) for row in rows] == [
        (1, "b", "c", False),
        (2, "c", "a", False),
        (3, "a", "b", False),
    ]
    assert rows[0]["score_difference"] == pytest.approx(-0.1)
    best, *_ = CLASSES.totals([*rows, *CLASSES.items(CLASSES.measure(first, first))])
    assert (best["rank"], best["items"], best["same"]) == (1, 2, 1)
    assert best["max_score_difference"] == pytest.approx(0.1)
