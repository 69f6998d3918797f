"""Statistics of tensors, against values worked out by hand."""

import math

import numpy as np
import pytest

from cvport.runtimes.parity.tensors import cosine, error_histogram, measure_tensor


def test_figures_of_a_difference():
    reference = np.array([3.0, -4.0, 0.0, 0.0])
    stats = measure_tensor(reference, reference + np.array([0.5, 0.0, 0.0, -0.1]))
    assert (stats.max_abs, stats.mean_abs) == (0.5, pytest.approx(0.15))
    assert stats.max_rel == pytest.approx(0.125)
    assert stats.largest == pytest.approx(4)
    assert stats.finite
    assert stats.cosine == pytest.approx((3 * 3.5 + 16) / (5 * math.sqrt(3.5**2 + 16 + 0.01)))


def test_equal_tensors_differ_by_nothing():
    stats = measure_tensor(np.zeros(3), np.zeros(3))
    assert (stats.max_abs, stats.max_rel, stats.cosine, stats.largest) == (0, 0, 1, 0)


@pytest.mark.parametrize("spoiled", [0, 1])
def test_values_that_are_not_finite_make_every_figure_nan(spoiled):
    pair = [np.ones(4, np.float32), np.ones(4, np.float32)]
    pair[spoiled][2] = np.inf
    stats = measure_tensor(*pair)
    assert not stats.finite
    assert math.isnan(stats.max_abs)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        measure_tensor(np.zeros(3), np.zeros((3, 1)))


def test_cosine_of_opposite_vectors():
    assert cosine(np.array([1.0, 2.0]), np.array([-2.0, -4.0])) == pytest.approx(-1)
    assert cosine(np.zeros(2), np.ones(2)) == 0


def test_histogram_counts_by_power_of_two():
    a = np.zeros(8, np.float32)
    b = np.array([0, 0, 0.25, 0.49, 0.5, -1, np.nan, 3], np.float32)
    assert error_histogram(a, b) == {"nan": 1, "equal": 2, "-1": 2, "0": 1, "1": 1, "2": 1}
