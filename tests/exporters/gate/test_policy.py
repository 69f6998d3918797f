"""Verdicts on points and classes: limits from rounding errors, ties told from flips."""

import numpy as np
import pytest
from cvport import Classification, Landmarks, UsageError
from cvport.exporters.gate.policy import (
    ClassLimit,
    LandmarkLimit,
    Limits,
    TensorLimit,
    apply_tolerances,
    class_limit,
    judge_classes,
    judge_landmarks,
    landmark_limit,
)

POINTS = np.arange(136, dtype=np.float32).reshape(1, 68, 2)


def test_limits_are_ten_times_the_rounding_error_and_never_absurdly_small():
    assert landmark_limit({"max": 0.02}).px == pytest.approx(0.2)
    assert landmark_limit({"max": 0.02}, safety=4).px == pytest.approx(0.08)
    assert landmark_limit({"max": 1e-6}).px == 1e-2
    assert class_limit({"max_prob": 1e-4}).prob == pytest.approx(1e-3)
    assert class_limit({"max_prob": 0.0}).prob == 1e-5


def test_one_point_off_fails():
    limit = LandmarkLimit(0.1, 0.1)
    other = POINTS.copy()
    other[0, 5, 0] += 0.09
    assert judge_landmarks(Landmarks(POINTS), Landmarks(other), limit, list).verdict == "passed"
    other[0, 5, 0] += 0.02
    judgement = judge_landmarks(Landmarks(POINTS), Landmarks(other), limit, list)
    assert judgement.verdict == "failed"
    assert judgement.reasons == ("a point is 0.11 px off, limit 0.1",)


@pytest.mark.parametrize("points", [POINTS[:0], np.concatenate([POINTS, POINTS]), POINTS * np.nan])
def test_other_faces_and_no_numbers_fail(points):
    assert judge_landmarks(Landmarks(POINTS), Landmarks(points), LandmarkLimit(0.1, 0.1), list).verdict == "failed"


def judged(reference, candidate, prob=0.01, labels=("a", "b", "c")):
    made = (Classification(np.array(scores, np.float32), names) for scores, names in ((reference, labels), candidate))
    return judge_classes(*made, ClassLimit(prob), list)


NAMES = ("a", "b", "c")


def test_scores_within_the_limit_pass():
    assert judged((0.5, 0.3, 0.2), ((0.505, 0.297, 0.198), NAMES)).verdict == "passed"
    assert judged((0.5, 0.3, 0.2), ((0.515, 0.29, 0.195), NAMES)).verdict == "failed"


def test_flip_within_tolerance_is_a_tie_told_with_its_margin():
    judgement = judged((0.402, 0.398, 0.2), ((0.398, 0.402, 0.2), NAMES))
    assert judgement.verdict == "passed"
    assert judgement.borderline == ("b instead of a: they tie, margin 4.00e-03",)


def test_real_flip_fails_even_where_scores_may_differ_much():
    judgement = judged((0.45, 0.35, 0.2), ((0.405, 0.41, 0.185), NAMES), prob=0.045)
    assert judgement.verdict == "failed"
    assert judgement.reasons[-1] == "b instead of a, by a margin of 0.1"


def test_other_names_and_no_numbers_fail():
    assert judged((0.5, 0.3, 0.2), ((0.5, 0.3, 0.2), ("a", "c", "b"))).verdict == "failed"
    assert judged((0.5, 0.3, 0.2), ((np.nan, 0.3, 0.2), NAMES)).verdict == "failed"


def test_tolerances_of_decoded_results():
    faces = Limits({"landmarks": TensorLimit(1e-3)}, LandmarkLimit(0.1, 0.1, "derived"))
    assert apply_tolerances(faces, ["decoded:px=0.5"]).decoded.px == 0.5
    scores = Limits({"logits": TensorLimit(1e-3)}, ClassLimit(0.1, "derived"))
    changed = apply_tolerances(scores, ["decoded:prob=0.01", "logits:atol=0.2"])
    assert (changed.decoded.prob, changed.tensors["logits"].max_abs) == (0.01, 0.2)
    assert changed.decoded.derived == "derived; set by --tolerance decoded:prob=0.01"
    with pytest.raises(UsageError, match="no figure 'prob'"):
        apply_tolerances(faces, ["decoded:prob=0.5"])
