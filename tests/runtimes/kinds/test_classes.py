"""Scores of classes compared: limits, ties told from flips."""

import math

import numpy as np
import pytest

from cvport import Classification
from cvport.runtimes.kinds.classes import ClassLimit, judge_classes, measure

NAMES = ("a", "b", "c")


def classes(*scores, names=NAMES):
    return Classification(np.array(scores, np.float32), names)


def judged(reference, candidate, prob=0.01):
    return judge_classes(measure(reference, candidate), ClassLimit(prob))


def test_figures_of_scores():
    stats = measure(classes(0.5, 0.3, 0.2), classes(0.5, 0.25, 0.25))
    assert stats.top1
    assert stats.max_prob == pytest.approx(0.05)
    assert stats.mean_prob == pytest.approx(0.1 / 3)
    assert stats.margin == pytest.approx(0.2)  # over the runner-up
    dot, norms = 0.25 + 0.075 + 0.05, math.sqrt(0.38 * 0.375)
    assert stats.cosine == pytest.approx(dot / norms)
    assert set(stats.figures()) == {"top1", "max_prob", "mean_prob", "cosine", "margin"}


def test_margin_of_a_flip_is_the_lead_over_the_other_best():
    stats = measure(classes(0.5, 0.3, 0.2), classes(0.1, 0.2, 0.7))
    assert not stats.top1
    assert stats.margin == pytest.approx(0.3)


def test_scores_within_the_limit_pass():
    assert judged(classes(0.5, 0.3, 0.2), classes(0.505, 0.297, 0.198)).verdict == "passed"
    assert judged(classes(0.5, 0.3, 0.2), classes(0.515, 0.29, 0.195)).verdict == "failed"


def test_flip_within_tolerance_is_a_tie_told_with_its_margin():
    judgement = judged(classes(0.402, 0.398, 0.2), classes(0.398, 0.402, 0.2))
    assert judgement.verdict == "passed"
    assert judgement.borderline == ("b instead of a: they tie, margin 4.00e-03",)


def test_real_flip_fails_even_where_scores_may_differ_much():
    judgement = judged(classes(0.45, 0.35, 0.2), classes(0.405, 0.41, 0.185), prob=0.045)
    assert judgement.verdict == "failed"
    assert judgement.reasons[-1] == "b instead of a, by a margin of 0.1"


def test_other_names_and_no_numbers_fail():
    assert judged(classes(0.5, 0.3, 0.2), classes(0.5, 0.3, 0.2, names=("a", "c", "b"))).verdict == "failed"
    assert judged(classes(0.5, 0.3, 0.2), classes(np.nan, 0.3, 0.2)).verdict == "failed"
