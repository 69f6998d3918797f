"""Limits: what a user replaces, the widest of several, shares."""

import math

import pytest

from cvport import UsageError
from cvport.runtimes.kinds.classes import ClassLimit
from cvport.runtimes.kinds.detections import DetectionLimit
from cvport.runtimes.kinds.landmarks import LandmarkLimit
from cvport.runtimes.parity.limits import Limits, TensorLimit, apply_tolerances, share_of_limit, widest


def test_tolerances_of_decoded_results():
    faces = Limits({"landmarks": TensorLimit(1e-3)}, LandmarkLimit(0.1, 0.1, "derived"))
    assert apply_tolerances(faces, ["decoded:px=0.5"]).decoded.px == 0.5
    scores = Limits({"logits": TensorLimit(1e-3)}, ClassLimit(0.1, "derived"))
    changed = apply_tolerances(scores, ["decoded:prob=0.01", "logits:atol=0.2"])
    assert (changed.decoded.prob, changed.tensors["logits"].max_abs) == (0.01, 0.2)
    assert changed.decoded.derived == "derived; set by --tolerance decoded:prob=0.01"
    with pytest.raises(UsageError, match="no figure 'prob'"):
        apply_tolerances(faces, ["decoded:prob=0.5"])


def test_a_relative_tolerance_stands_alone_unless_an_absolute_one_is_given_too():
    limits = Limits({"a": TensorLimit(1e-3), "b": TensorLimit(1e-3)}, ClassLimit(0.1))
    changed = apply_tolerances(limits, ["*:rtol=0.1", "b:atol=0.5"])
    assert (changed.tensors["a"].max_abs, changed.tensors["a"].rtol) == (0.0, 0.1)
    assert (changed.tensors["b"].max_abs, changed.tensors["b"].rtol) == (0.5, 0.1)


@pytest.mark.parametrize("text", ["a", "a:atol", "a:atol=x", "a:atol=-1", "a:atol=inf", ":atol=1", "c:atol=1"])
def test_what_is_no_tolerance_is_refused(text):
    with pytest.raises(UsageError):
        apply_tolerances(Limits({"a": TensorLimit(1e-3)}, ClassLimit(0.1)), [text])


def test_the_widest_limits_let_pass_what_any_does():
    first = DetectionLimit(score=1.0, px=0.1, iou=0.9, mean_score=0.1, derived="x")
    second = DetectionLimit(score=0.5, px=0.2, iou=0.8, mean_score=0.2, derived="y")
    assert widest([first, second]) == DetectionLimit(1.0, 0.2, 0.8, 0.2, "the widest of: x; y")
    assert widest([first]) is first


def test_shares_of_limits():
    assert share_of_limit("px", 0.5, 2.0) == 0.25
    assert share_of_limit("iou", 0.95, 0.9) == pytest.approx(0.5)
    assert share_of_limit("px", 0.0, 0.0) == 0
    assert share_of_limit("px", 1.0, 0.0) == math.inf
