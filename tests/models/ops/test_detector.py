"""The choice of candidates that every detector shares."""

from dataclasses import replace

import numpy as np
import pytest

from cvport.models.ops.detector import DetectorParams, choose

PARAMS = DetectorParams((8,), 0.3, 0.5, class_agnostic=False, max_detections=10)
SCORES = np.float32([0.4, 0.9, 0.8, 0.5])
CLASSES = np.array([0, 0, 1, 0])
BOXES = np.float32([[0, 0, 4, 4], [0, 0, 5, 5], [0, 0, 5, 5], [20, 20, 25, 25]])


@pytest.mark.parametrize(
    ("changes", "choice", "expected"),
    [
        ({}, {}, [1, 2, 3]),
        ({"iou_threshold": 0.7}, {}, [1, 2, 3, 0]),
        ({"class_agnostic": True}, {}, [1, 3]),
        ({"max_detections": 1}, {}, [1]),
        ({}, {"classes": [1]}, [2]),
        ({}, {"best": 2}, [1, 2]),
    ],
)
def test_the_best_are_kept_in_order(changes, choice, expected):
    params = replace(PARAMS, **changes)
    choice = {"classes": None, "best": None, **choice}
    kept, boxes = choose(SCORES, CLASSES, lambda index: BOXES[index], params, **choice)
    assert kept.tolist() == expected
    np.testing.assert_array_equal(boxes, BOXES[expected])


def test_the_best_are_taken_whatever_their_score():
    assert PARAMS.cutoff(None) == 0.3
    assert PARAMS.cutoff(100) == 0


@pytest.mark.parametrize(
    "change", [{"score_threshold": 1.5}, {"iou_threshold": -0.1}, {"max_detections": 0}, {"strides": (8, 0)}]
)
def test_parameters_that_make_no_sense(change):
    with pytest.raises(ValueError, match=r"thresholds|strides"):
        replace(PARAMS, **change)
