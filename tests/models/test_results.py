"""The result types."""

import dataclasses
import json

import numpy as np
import pytest
from cvport.models.results import Detections


@pytest.fixture
def detections():
    return Detections(
        boxes=np.array([[0, 0.12345, 10, 20], [1, 2, 3, 4.5]], np.float32),
        scores=np.array([0.9, 0.3], np.float32),
        class_ids=np.array([1, 0], np.int64),
        labels=("cat", "dog"),
    )


def test_to_dict_is_json(detections):
    shape = {
        "detections": [
            {"label": "cat", "class_id": 1, "score": 0.9, "box": [0.0, 0.123, 10.0, 20.0]},
            {"label": "dog", "class_id": 0, "score": 0.3, "box": [1.0, 2.0, 3.0, 4.5]},
        ]
    }
    assert detections.to_dict() == shape
    assert json.loads(json.dumps(detections.to_dict())) == shape


def test_iteration_and_length(detections):
    assert len(detections) == 2
    rows = list(detections)
    assert [(label, score) for label, score, _ in rows] == [("cat", pytest.approx(0.9)), ("dog", pytest.approx(0.3))]
    assert all(type(score) is float for _, score, _ in rows)
    np.testing.assert_array_equal([box for _, _, box in rows], detections.boxes)


def test_nothing_found():
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())
    assert len(none) == 0
    assert not list(none)
    assert none.to_dict() == {"detections": []}


@pytest.mark.parametrize("name", ["boxes", "scores", "class_ids", "labels", "margins"])
def test_frozen(detections, name):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(detections, name, None)


def test_lists_that_do_not_belong_together(detections):
    with pytest.raises(ValueError, match="zip"):
        dataclasses.replace(detections, labels=("cat",)).to_dict()
