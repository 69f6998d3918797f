"""What decoders of detectors share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvport.models.ops.scores import best_first, lowest_logit, make_detections, sigmoid


@given(st.floats(0, 1, width=32), st.lists(st.floats(-200, 200, width=32), max_size=20))
def test_no_logit_that_reaches_the_probability_is_below_the_lowest(probability, logits):
    values = np.array(logits, np.float32)
    assert (values[sigmoid(values) >= np.float32(probability)] >= lowest_logit(probability)).all()


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.9])
def test_the_lowest_logit_is_close(probability):
    assert sigmoid(np.array([lowest_logit(probability)])) == pytest.approx(probability, rel=1e-4)


def test_best_first_is_stable_and_keeps_the_wanted_classes():
    scores, class_ids = np.float32([0.5, 0.9, 0.5, 0.1, 0.9]), np.array([0, 1, 1, 0, 2])
    assert best_first(scores, class_ids, None, None).tolist() == [1, 4, 0, 2, 3]
    assert best_first(scores, class_ids, None, 2).tolist() == [1, 4]
    assert best_first(scores, class_ids, [0, 1], 3).tolist() == [1, 0, 2]
    assert best_first(scores, class_ids, [], None).tolist() == []


def test_detections_have_a_name_each():
    found = make_detections(
        np.zeros((2, 4), np.float32), np.float32([1, 0.5]), np.array([1, 0]), np.float32([1, 1]), ("a", "b")
    )
    assert found.labels == ("b", "a")
