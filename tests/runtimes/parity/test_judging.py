"""Verdicts on tensors: from statistics and limits alone."""

import numpy as np
import pytest

from cvport.runtimes.parity.judging import judge, judge_spread, judge_tensor
from cvport.runtimes.parity.limits import TensorLimit
from cvport.runtimes.parity.tensors import measure_tensor

EXACT = np.linspace(-2, 2, 1001)


def test_absolute_and_relative_limits_add_up():
    stats = measure_tensor(EXACT, EXACT + 0.1)
    assert judge_tensor(stats, TensorLimit(0.11)).verdict == "passed"
    judgement = judge_tensor(stats, TensorLimit(0.05))
    assert (judgement.verdict, judgement.reasons) == ("failed", ("max abs 0.1 is over the limit 0.05",))
    assert judge_tensor(stats, TensorLimit(0.05, rtol=0.03)).verdict == "passed"  # of 2, the largest value


def test_values_that_are_not_finite_fail():
    assert judge_tensor(measure_tensor(EXACT, EXACT * np.nan), TensorLimit(9.0)).verdict == "failed"


@pytest.mark.parametrize(
    ("spread", "error", "verdict"),
    [
        (1.0, 1e-5, "passed"),
        (0.01, 1e-5, "uninformative"),
        (0.0, 0.0, "uninformative"),
        (1.0, 0.02, "failed"),
        (np.nan, 1e-5, "failed"),
    ],
)
def test_spread_between_images(spread, error, verdict):
    floor = measure_tensor(EXACT, EXACT + error)
    assert judge_spread("out", spread, TensorLimit(1e-3), floor).verdict == verdict


def test_a_reason_makes_a_failure_and_a_note_does_not():
    assert judge([], ["close"]).verdict == "passed"
    assert judge(["wrong"]).verdict == "failed"
