"""Scores of a classifier under each activation."""

import numpy as np
import pytest

from cvport.models.ops.classifier import ClassifierParams, postprocess

VALUES = np.float32([[0.0, 2.0, -1.0], [1.0, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("none", VALUES),
        ("sigmoid", 1 / (1 + np.exp(-VALUES.astype(np.float64)))),
        ("softmax", np.exp(VALUES.astype(np.float64)) / np.exp(VALUES.astype(np.float64)).sum(1, keepdims=True)),
    ],
)
def test_activations(activation, expected):
    results = postprocess({"any": VALUES}, [None, None], ClassifierParams(activation), ("a", "b", "c"))
    np.testing.assert_allclose([result.scores for result in results], expected, rtol=1e-6)
    assert all(result.scores.dtype == np.float32 for result in results)
    assert results[0].label == "b"


def test_another_activation_is_refused():
    with pytest.raises(ValueError, match="activation is 'relu', which is not 'none' or 'sigmoid' or 'softmax'"):
        ClassifierParams("relu")
