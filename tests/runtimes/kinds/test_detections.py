"""Detections compared: pairs, labels, thresholds. A judge gets statistics and measures nothing."""

import numpy as np
import pytest

from cvport import Detections
from cvport.runtimes.kinds.detections import DetectionLimit, judge_detections, measure

LIMIT = DetectionLimit(score=0.01, px=0.5, iou=0.9, mean_score=0.01)


def found(*rows, margins=None):
    """Detections of (label, score, x1, y1, x2, y2)."""
    boxes = np.array([row[2:] for row in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[1] for row in rows], np.float32)
    leads = None if margins is None else np.array(margins, np.float32)
    return Detections(boxes, scores, np.zeros(len(rows), np.int64), tuple(row[0] for row in rows), leads)


HAND, FACE = ("hand", 0.9, 10, 10, 50, 50), ("face", 0.8, 100, 20, 140, 80)


def test_equal_results_differ_by_nothing():
    stats = measure(found(HAND, FACE), found(HAND, FACE))
    assert stats.figures() == {
        "reference": 2,
        "candidate": 2,
        "matched": 2,
        "max_score": 0.0,
        "mean_score": 0.0,
        "max_px": 0.0,
        "min_iou": 1.0,
    }
    assert judge_detections(stats, LIMIT).verdict == "passed"


def test_pairs_are_found_in_any_order_and_measured():
    other = ("hand", 0.88, 10, 10, 50, 52)
    stats = measure(found(HAND, FACE), found(FACE, other))
    assert [pair.labels for pair in stats.pairs] == [("face", "face"), ("hand", "hand")]
    figures = stats.figures()
    assert figures["max_score"] == pytest.approx(0.02, abs=1e-6)
    assert figures["mean_score"] == pytest.approx(0.01, abs=1e-6)
    assert figures["max_px"] == 2
    assert figures["min_iou"] == pytest.approx(40 * 40 / (40 * 42))
    reasons = judge_detections(stats, LIMIT).reasons
    assert any("score differs by 0.02" in reason for reason in reasons)
    assert any("box differs by 2 px" in reason for reason in reasons)


def test_a_box_clipped_to_nothing_is_paired_by_its_place():
    sliver = ("hand", 0.9, 0, 10, 0, 50)
    assert measure(found(sliver), found(("hand", 0.9, 0, 10.5, 0, 50))).figures()["matched"] == 1


def test_another_label_fails_unless_the_two_tie():
    wrong = ("face", *HAND[1:])
    clear = judge_detections(measure(found(HAND, margins=[0.5]), found(wrong, margins=[0.5])), LIMIT)
    assert (clear.verdict, clear.reasons) == ("failed", ("detection 0 (hand): label face, by a margin of 0.5",))
    tie = judge_detections(measure(found(HAND, margins=[0.015]), found(wrong, margins=[0.5])), LIMIT)
    assert tie.verdict == "passed"
    assert tie.borderline == ("detection 0 (hand): labels tie, margin 1.50e-02",)


def test_what_one_alone_has_fails_unless_a_moved_threshold_does_the_same():
    reference, candidate = found(HAND, FACE), found(HAND)
    stats = measure(reference, candidate)
    assert judge_detections(stats, LIMIT).reasons == ("face 0.80000 only in the reference",)
    stats = measure(reference, candidate, lambda: [found(HAND)])
    assert stats.unmatched[0].at_threshold
    assert judge_detections(stats, LIMIT).borderline == ("face 0.80000 only in the reference",)
    gained = measure(candidate, reference, lambda: [found(HAND, FACE)])
    assert judge_detections(gained, LIMIT).borderline == ("face 0.80000 only in the candidate",)


def test_thresholds_are_moved_only_where_something_is_unmatched():
    def moved():
        raise AssertionError

    assert measure(found(HAND), found(HAND), moved).unmatched == ()


def test_nothing_against_something():
    assert judge_detections(measure(found(), found(HAND)), LIMIT).verdict == "failed"
    assert judge_detections(measure(found(), found()), LIMIT).verdict == "passed"
