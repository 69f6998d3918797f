"""Overlap, suppression and clipping against plain loops."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cvport.models.ops.boxes import clip_boxes, iou_matrix, nms

# Whole pixels on a small grid: overlaps are exact, and ties, copies and boxes without area are frequent.
coordinate = st.integers(0, 12)
box = st.tuples(coordinate, coordinate, coordinate, coordinate).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)
box_lists = st.lists(box, max_size=40).map(lambda rows: np.array(rows, np.float32).reshape(-1, 4))


def overlap(a, b):
    """Intersection over union of two boxes, 0 where neither has an area."""
    x1, y1, x2, y2 = (float(value) for value in a)
    u1, v1, u2, v2 = (float(value) for value in b)
    shared = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    return shared / union if union > 0 else 0.0


def plain_nms(boxes, threshold, class_ids=None, max_keep=None):
    kept = []
    for index in range(len(boxes)):
        rivals = [k for k in kept if class_ids is None or class_ids[k] == class_ids[index]]
        if all(overlap(boxes[k], boxes[index]) <= threshold for k in rivals):
            kept.append(index)
    return kept[:max_keep]


def crowd(count, seed, side=300.0, largest=60.0):
    """Random boxes that overlap a lot, some of them without area."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, side, (count, 2))
    size = rng.uniform(5, largest, (count, 2))
    size[::7] = 0
    return np.hstack([corner, corner + size]).astype(np.float32)


@given(box_lists, box_lists)
def test_iou_of_every_pair(a, b):
    result = iou_matrix(a, b)
    assert result.shape == (len(a), len(b))
    assert result.dtype == np.float32
    expected = np.array([[overlap(x, y) for y in b] for x in a], np.float32).reshape(result.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_iou_by_numbers():
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 1, 1], [1, 1, 1, 1], [5, 5, 9, 9]], np.float32)
    # Without the +1 of pixel counting: 1/7 would be 4/14 with it.
    np.testing.assert_allclose(iou_matrix(a, b)[0], [1, 1 / 7, 0, 1 / 4, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e6])
def test_iou_does_not_depend_on_the_unit(scale):
    boxes = crowd(50, seed=0)
    np.testing.assert_allclose(
        iou_matrix(boxes * np.float32(scale), boxes * np.float32(scale)), iou_matrix(boxes, boxes), atol=1e-4
    )


def test_two_boxes_without_area_do_not_overlap():
    point = np.array([[3, 3, 3, 3]], np.float32)
    assert iou_matrix(point, point) == 0
    assert list(nms(np.repeat(point, 3, axis=0), 0.5)) == [0, 1, 2]


@given(box_lists, st.sampled_from([0.0, 0.3, 0.45, 0.5, 0.65, 1.0]), st.data())
def test_nms_keeps_what_the_plain_loop_keeps(boxes, threshold, data):
    overlaps = [overlap(a, b) for a in boxes for b in boxes]
    # 1/2 is exact in both precisions, so ties with the threshold stay in; 3/10 and the like are not.
    assume(threshold in (0, 0.5, 1) or all(abs(value - threshold) > 1e-6 for value in overlaps))
    size = len(boxes)
    class_ids = data.draw(st.none() | st.lists(st.integers(0, 2), min_size=size, max_size=size))
    max_keep = data.draw(st.none() | st.integers(0, 45))
    result = nms(boxes, threshold, None if class_ids is None else np.array(class_ids, np.int64), max_keep)
    assert result.dtype == np.int64
    assert result.tolist() == plain_nms(boxes, threshold, class_ids, max_keep)


@pytest.mark.parametrize("count", [63, 64, 65, 128, 129, 256, 257, 513, 700])
@pytest.mark.parametrize("classes", [None, 3])
def test_nms_of_more_boxes_than_a_block_holds(count, classes):
    boxes = crowd(count, seed=count)
    class_ids = None if classes is None else np.random.default_rng(1).integers(0, classes, count)
    expected = plain_nms(boxes, 0.3, class_ids)
    assert len(expected) < count
    assert nms(boxes, 0.3, class_ids).tolist() == expected
    for max_keep in (1, len(expected) - 1, len(expected), len(expected) + 1):
        assert nms(boxes, 0.3, class_ids, max_keep).tolist() == expected[:max_keep]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(257, 400), st.floats(5, 400))
def test_nms_across_a_block_border(seed, count, side):
    boxes = crowd(count, seed, side)
    assert nms(boxes, 0.5).tolist() == plain_nms(boxes, 0.5)


def test_a_box_suppresses_one_in_a_later_block():
    apart = np.arange(600, dtype=np.float32)[:, None] * 10 + np.array([0, 0, 5, 5], np.float32)
    boxes = np.concatenate([apart, apart[:1], apart[255:257]])
    assert nms(boxes, 0.5).tolist() == list(range(600))


def test_a_whole_block_of_suppressed_boxes():
    boxes = np.repeat(np.array([[0, 0, 5, 5]], np.float32), 600, axis=0)
    boxes[-1] += 100
    assert nms(boxes, 0.5).tolist() == [0, 599]


def test_overlap_at_the_threshold_is_kept():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 1]], np.float32)
    assert nms(boxes, 0.5).tolist() == [0, 1]
    assert nms(boxes, float(np.nextafter(np.float32(0.5), np.float32(0)))).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    assert nms(boxes, 0.4).tolist() == [0, 2]


def test_a_box_that_is_not_a_number_suppresses_nothing():
    boxes = np.array([[np.nan] * 4, [0, 0, 5, 5], [0, 0, 5, 5]], np.float32)
    assert nms(boxes, 0.5).tolist() == [0, 1]


def test_classes_do_not_suppress_each_other():
    boxes = np.repeat(np.array([[0, 0, 5, 5]], np.float32), 4, axis=0)
    assert nms(boxes, 0.5, np.array([0, 1, 0, 1])).tolist() == [0, 1]


@pytest.mark.parametrize("max_keep", [None, 0, 5])
def test_no_boxes(max_keep):
    kept = nms(np.zeros((0, 4), np.float32), 0.5, np.zeros(0, np.int64), max_keep)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_keep_none():
    assert nms(crowd(5, 0), 0.5, max_keep=0).tolist() == []


def test_clip():
    boxes = np.array([[-5, -1, 700, 30], [3, 4, 5, 6], [-9, -9, -1, -2], [650, 490, np.inf, 500]], np.float32)
    clipped = clip_boxes(boxes, 640, 480)
    assert clipped.dtype == np.float32
    np.testing.assert_array_equal(clipped, [[0, 0, 640, 30], [3, 4, 5, 6], [0, 0, 0, 0], [640, 480, 640, 480]])
    assert boxes[0, 0] == -5


def test_only_the_best_candidates_are_looked_at(monkeypatch):
    side = np.arange(200, dtype=np.float32) * 20
    apart = np.stack([side, side, side + 10, side + 10], 1)
    assert nms(apart, 0.5).tolist() == list(range(200))
    monkeypatch.setattr("cvport.models.ops.boxes.MOST_CANDIDATES", 150)
    assert nms(apart, 0.5).tolist() == list(range(150))
    assert nms(apart, 0.5, np.arange(200) % 3, max_keep=160).tolist() == list(range(150))
    assert nms(apart[:150], 0.5).tolist() == list(range(150))
