"""Points compared, against values worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cvport import Landmarks, get_model
from cvport.runtimes.kinds.landmarks import LandmarkLimit, judge_landmarks, measure
from cvport.runtimes.kinds.registry import get_kind

ZERO = Landmarks(np.zeros((1, 68, 2), np.float32))
POINTS = np.arange(136, dtype=np.float32).reshape(1, 68, 2)


def moved(*distances):
    """ZERO with the first points moved by (0.6, 0.8) times these, a length of 1."""
    points = ZERO.points.copy()
    points[0, : len(distances)] = np.array(distances, np.float32)[:, None] * np.float32([0.6, 0.8])
    return Landmarks(points)


def test_distances_of_points():
    stats = measure(ZERO, moved(2.0, 0.75))
    expected = np.array([2.0, 0.75, *[0.0] * 66])
    assert stats.max == pytest.approx(2)
    assert stats.mean == pytest.approx(2.75 / 68)
    assert stats.std == pytest.approx(expected.std())
    assert stats.p99 == pytest.approx(np.quantile(expected, 0.99))
    assert stats.p95 == 0
    assert (stats.under_half, stats.under_one) == (pytest.approx(66 / 68), pytest.approx(67 / 68))


def test_another_number_of_faces_has_no_distances():
    stats = measure(ZERO, Landmarks(np.zeros((2, 68, 2), np.float32)))
    assert (stats.reference, stats.candidate) == (1, 2)
    assert math.isnan(stats.max)


def test_one_point_off_fails():
    limit = LandmarkLimit(0.1, 0.1)
    other = POINTS.copy()
    other[0, 5, 0] += 0.09
    assert judge_landmarks(measure(Landmarks(POINTS), Landmarks(other)), limit).verdict == "passed"
    other[0, 5, 0] += 0.02
    judgement = judge_landmarks(measure(Landmarks(POINTS), Landmarks(other)), limit)
    assert judgement.verdict == "failed"
    assert judgement.reasons == ("a point is 0.11 px off, limit 0.1",)


@pytest.mark.parametrize("points", [POINTS[:0], np.concatenate([POINTS, POINTS]), POINTS * np.nan])
def test_other_faces_and_no_numbers_fail(points):
    stats = measure(Landmarks(POINTS), Landmarks(points))
    assert judge_landmarks(stats, LandmarkLimit(0.1, 0.1)).verdict == "failed"


def test_points_without_a_skeleton_have_no_names_in_coco():
    spec = replace(get_model("landmarks68"), skeleton=None)
    kind = get_kind("landmarks")
    assert kind.categories(spec, ()) == [{"id": 0, "name": "face"}]
    assert kind.join([], spec).to_dict() == {"faces": []}
    (category,) = kind.categories(get_model("landmarks68"), ())
    assert len(category["keypoints"]) == 68
    assert category["skeleton"][0] == [1, 2]
