"""Limits come from rounding errors: ten times what is measured, never absurdly small."""

import numpy as np
import pytest
import torch

from cvport import Classification, Landmarks
from cvport.exporters.gate.kinds import classes, detections, landmarks
from cvport.exporters.gate.rounding import (
    Rounding,
    case_limits,
    round_to_hf32,
    rounding_device_limits,
    strict_device_limits,
    tensor_limit,
)
from cvport.runtimes.kinds.classes import ClassLimit
from cvport.runtimes.kinds.classes import measure as measure_classes
from cvport.runtimes.kinds.detections import DetectionStats, Pair
from cvport.runtimes.kinds.landmarks import measure as measure_landmarks
from cvport.runtimes.parity.limits import Limits, TensorLimit
from cvport.runtimes.parity.tensors import measure_tensor

EXACT = np.linspace(-2, 2, 1001)


def test_tensor_limit_is_ten_times_the_rounding_error():
    stats = measure_tensor(EXACT, EXACT + 1e-4)
    assert tensor_limit(stats, 1000).max_abs == pytest.approx(1e-3)
    assert tensor_limit(stats, 900).rms == pytest.approx(4 * (1 + 3 / 30) * 1e-4)
    # An exact reference still gets a few roundings of its largest value.
    assert tensor_limit(measure_tensor(EXACT, EXACT), 1000).max_abs == pytest.approx(16 * 2**-24, rel=0.5)


def points(distance):
    moved = np.zeros((1, 4, 2), np.float32)
    moved[0, 0, 0] = distance
    return measure_landmarks(Landmarks(np.zeros((1, 4, 2), np.float32)), Landmarks(moved))


def scores(difference):
    made = [Classification(np.float32([0.5, 0.5 - shift]), ("a", "b")) for shift in (0, difference)]
    return measure_classes(*made)


def test_limits_of_points_and_classes():
    assert landmarks.limit_from_rounding(points(0.02), 10).px == pytest.approx(0.2)
    assert landmarks.limit_from_rounding(points(0.02), 4).px == pytest.approx(0.08)
    assert landmarks.limit_from_rounding(points(1e-6), 10).px == 1e-2
    assert classes.limit_from_rounding(scores(1e-4), 10).prob == pytest.approx(1e-3, rel=1e-3)
    assert classes.limit_from_rounding(scores(0.0), 10).prob == 1e-5


def test_limits_of_detections():
    stats = DetectionStats(1, 1, (Pair(0, ("a", "a"), iou=0.99, px=0.02, score=1e-4, margin=1.0),), ())
    limit = detections.limit_from_rounding(stats, 10)
    assert (limit.score, limit.px, limit.mean_score) == pytest.approx((1e-3, 0.2, 1e-3))
    assert limit.iou == pytest.approx(0.8)  # a shift of 0.2 px may cost a sliver that much
    exact = detections.limit_from_rounding(DetectionStats(0, 0, (), ()), 10)
    assert (exact.score, exact.px) == (1e-5, 1e-2)


def test_limits_of_a_device():
    own = Limits({"out": TensorLimit(1e-3)}, ClassLimit(1e-5))
    device = ClassLimit(1e-2, "seen")
    strict = strict_device_limits(own, device)
    assert strict.tensors["out"].max_abs == pytest.approx(4e-3)
    assert strict.decoded is device
    stats = {"out": measure_tensor(EXACT, EXACT + 0.1)}
    effect = Rounding(stats, {"out": EXACT.size}, ClassLimit(0.5, "rounding"), textured=True)
    rounded = rounding_device_limits(own, device, effect)
    assert rounded.tensors["out"].max_abs == pytest.approx(0.4)
    assert rounded.decoded.prob == 0.5


def rounding(error, values=EXACT, *, textured=True):
    return Rounding({"out": measure_tensor(values, values + error)}, {"out": values.size}, ClassLimit(1e-5), textured)


def test_a_case_has_the_limits_of_its_own_rounding():
    common = rounding(1e-4)
    smaller, similar, larger = (case_limits(common, rounding(error)).tensors["out"] for error in (1e-5, 1.9e-4, 1e-3))
    assert smaller.max_abs == pytest.approx(1e-4), "tighter than the common one"
    assert similar.max_abs == pytest.approx(1e-3), "the common one leaves it room"
    assert larger.max_abs == pytest.approx(1e-2), "its own, ten times its error"
    assert smaller.rms == pytest.approx(4.4e-5, rel=0.02)


def test_a_few_values_have_the_common_limits_where_those_are_wider():
    common, few = rounding(1e-4), EXACT[:7]
    assert case_limits(common, rounding(1e-6, few)).tensors["out"].max_abs == pytest.approx(1e-3)
    assert case_limits(common, rounding(1e-3, few)).tensors["out"].max_abs == pytest.approx(1e-2)


def test_errors_of_a_flat_image_are_not_averaged():
    assert case_limits(rounding(1e-4), rounding(1e-4, textured=False)).tensors["out"].rms == np.inf


def test_hf32_rounds_halves_to_even():
    one, step = 1.0, 2.0**-10
    values = torch.tensor([one, one + step / 2, one + step * 1.5, one + step * 0.51, -(one + step / 2), 0.0])
    expected = torch.tensor([one, one, one + 2 * step, one + step, -one, 0.0])
    assert torch.equal(round_to_hf32(values), expected)
    kept = torch.tensor([one + step, 3.0, -0.375])
    assert torch.equal(round_to_hf32(kept), kept)
