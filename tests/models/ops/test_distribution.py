"""Box sides as distributions over distances."""

import numpy as np

from cvport.models.ops.distribution import boxes_around, expected_distances


def test_the_mean_of_the_bins():
    bins = np.full((4, 3, 2), -80, np.float32)
    bins[:, 2, 0] = 0  # certain: the last bin
    bins[:, :, 1] = 1  # undecided: the middle one
    bins[0, :, 1] = (np.log(3), -80, 0)  # three parts of 0, one of 2
    distances = expected_distances(bins.reshape(12, 2))
    np.testing.assert_allclose(distances, [[2, 0.5], [2, 1], [2, 1], [2, 1]], rtol=1e-6)
    assert distances.dtype == np.float32


def test_logits_of_any_size_stay_finite():
    bins = np.float32([3e38, -3e38, 100, 0] * 4).reshape(16, 1)
    assert np.isfinite(expected_distances(bins)).all()


def test_boxes_lie_around_their_points():
    points = np.float32([[10], [20], [8]])
    assert boxes_around(points, np.float32([[1], [0.5], [2], [0]])).tolist() == [[2, 16, 26, 20]]
