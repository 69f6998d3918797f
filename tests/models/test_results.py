"""The result types."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from cvport import Classification, InputError, Landmarks, UsageError
from cvport.models.results import Contour, Detections, Skeleton


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


ZEROS = np.zeros


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"labels": ("cat",)}, "1 names for 2 scores"),
        ({"labels": ["cat", "dog"]}, "not a tuple"),
        ({"labels": (1, 2)}, "not a tuple of strings"),
        ({"boxes": ZEROS((3, 4), np.float32)}, r"shape \(3, 4\), not \(2, 4\)"),
        ({"boxes": ZEROS((2, 5), np.float32)}, r"shape \(2, 5\)"),
        ({"boxes": ZEROS((2, 4))}, "float64, not an array of float32"),
        ({"scores": [0.9, 0.3]}, "Detections.scores is list"),
        ({"class_ids": ZEROS(2, np.float32)}, "float32, not an array of int64"),
        ({"margins": ZEROS(3, np.float32)}, "Detections.margins has shape"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(detections, change, text):
    with pytest.raises(InputError, match=text):
        dataclasses.replace(detections, **change)


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (0, [0]),
        (-1, [1]),
        (np.int64(1), [1]),
        (slice(None, None, -1), [1, 0]),
        ([1, 0], [1, 0]),
        (np.array([False, True]), [1]),
        ([True, False], [0]),
        ([], []),
        (slice(0, 0), []),
    ],
)
def test_indexing_keeps_what_belongs_together(detections, index, rows):
    picked = detections[index]
    np.testing.assert_array_equal(picked.boxes, detections.boxes[rows])
    np.testing.assert_array_equal(picked.class_ids, detections.class_ids[rows])
    assert picked.labels == tuple(detections.labels[row] for row in rows)
    assert picked.margins is None
    marked = dataclasses.replace(detections, margins=np.float32([0.5, 0.1]))
    np.testing.assert_array_equal(marked[index].margins, marked.margins[rows])


@pytest.mark.parametrize("index", [2, [5], np.array([True])])
def test_indices_out_of_range(detections, index):
    with pytest.raises(IndexError):
        detections[index]


def test_scores_by_mask(detections):
    assert detections[detections.scores > 0.5].labels == ("cat",)


# --- landmarks

ARM = Skeleton(("shoulder", "elbow", "hand"), (Contour("arm", (0, 1, 2), closed=False),))


def test_landmarks_carry_their_skeleton_and_are_indexed():
    faces = Landmarks(np.arange(12, dtype=np.float32).reshape(2, 3, 2), np.ones((2, 4), np.float32), ARM)
    second = faces[1]
    assert len(second) == 1
    assert second.points.tolist() == [[[6, 7], [8, 9], [10, 11]]]
    assert second.skeleton is ARM
    assert [points[0].tolist() for points in faces] == [[0, 1], [6, 7]]
    joined = Landmarks.join([faces[1], faces[0]])
    assert joined.points.tolist() == faces[[1, 0]].points.tolist()
    assert joined.skeleton is ARM
    assert Landmarks.empty(ARM).points.shape == (0, 3, 2)


@pytest.mark.parametrize(
    ("points", "boxes", "text"),
    [
        (ZEROS((2, 4, 2), np.float32), None, "skeleton has 3 points, Landmarks.points has 4"),
        (ZEROS((2, 3, 3), np.float32), None, "Landmarks.points has shape"),
        (ZEROS((2, 3, 2), np.float32), ZEROS((1, 4), np.float32), "Landmarks.boxes has shape"),
        (ZEROS((2, 3, 2)), None, "float64"),
    ],
)
def test_landmarks_that_do_not_belong_together_are_refused(points, boxes, text):
    with pytest.raises(InputError, match=text):
        Landmarks(points, boxes, ARM)


def test_edges_of_a_skeleton():
    closed = Skeleton(("a", "b", "c"), (Contour("triangle", (0, 1, 2), closed=True),))
    assert ARM.edges() == [(0, 1), (1, 2)]
    assert closed.edges() == [(0, 1), (1, 2), (2, 0)]
    with pytest.raises(InputError, match=r"point outside of 0\.\.1"):
        Skeleton(("a", "b"), (Contour("line", (0, 2), closed=False),))


# --- classes


def test_classes_are_indexed_in_class_order_and_iterated_best_first():
    classes = Classification(np.float32([0.1, 0.7, 0.2]), ("a", "b", "c"))
    assert [label for label, _ in classes] == ["b", "c", "a"]
    assert classes[0].labels == ("a",)
    assert classes[classes.scores > 0.15].labels == ("b", "c")
    assert classes.top(1) == [("b", pytest.approx(0.7))]
    with pytest.raises(InputError, match="2 names for 3 scores"):
        Classification(classes.scores, ("a", "b"))


# --- supervision


def test_detections_go_to_supervision_and_come_back():
    pytest.importorskip("supervision")
    boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    ours = Detections(boxes, np.array([0.9, 0.4], np.float32), np.array([2, 0]), ("hand", "face"))
    theirs = ours.to_supervision()
    np.testing.assert_array_equal(theirs.xyxy, boxes)
    assert theirs.data["class_name"].tolist() == ["hand", "face"]
    assert theirs[theirs.confidence > 0.5].class_id.tolist() == [2]
    back = Detections.from_supervision(theirs)
    assert back.to_dict() == ours.to_dict()
    # Another order, and nothing but boxes.
    assert Detections.from_supervision(theirs[[1, 0]]).to_dict() == ours.to_dict()
    import supervision

    bare = Detections.from_supervision(supervision.Detections(xyxy=boxes))
    assert (bare.scores.tolist(), bare.labels) == ([1.0, 1.0], ("class_0", "class_0"))
    assert len(Detections.from_supervision(supervision.Detections.empty())) == 0


def test_points_and_classes_go_to_supervision():
    pytest.importorskip("supervision")
    faces = Landmarks(np.arange(12, dtype=np.float32).reshape(2, 3, 2))
    np.testing.assert_array_equal(faces.to_supervision().xy, faces.points)
    theirs = Classification(np.array([0.2, 0.8], np.float32), ("sad", "happy")).to_supervision()
    assert theirs.class_id[theirs.confidence.argmax()] == 1


def test_without_supervision_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UsageError, match="supervision cannot be imported"):
        Landmarks(np.zeros((1, 2, 2), np.float32)).to_supervision()
    with pytest.raises(InputError, match="list is no supervision"):
        Detections.from_supervision([])
