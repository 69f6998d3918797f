"""The recipe of untrained weights."""

import math

import numpy as np
import pytest

from cvport.models.weights.seeding import GAIN, Recipe, seeded_tensors

RECIPE = Recipe(ranges=((r".*\.bias", (1.0, 2.0)),), gains=((r"last\.", 0.5),))
SHAPES = {
    "a.weight": (64, 32, 3, 3),
    "deep.weight": (48, 1, 3, 3),
    "last.weight": (64, 32, 1, 1),
    "a.bias": (500,),
    "a.num_batches_tracked": (),
}


def test_the_kinds_of_tensors():
    state = seeded_tensors(SHAPES, RECIPE, 0)
    assert {key: value.shape for key, value in state.items()} == SHAPES
    assert state["a.num_batches_tracked"].dtype == np.int64
    assert (state["a.bias"].min(), state["a.bias"].max()) == pytest.approx((1, 2), abs=0.02)
    assert state["a.weight"].std() * math.sqrt(32 * 9) == pytest.approx(GAIN, rel=0.02)
    assert state["last.weight"].std() * math.sqrt(32) == pytest.approx(0.5, rel=0.05)
    # Filters ignore what eight channels share; depthwise ones average.
    np.testing.assert_allclose(state["a.weight"].reshape(64, 4, -1).sum(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(state["deep.weight"].sum(axis=(1, 2, 3)), GAIN, rtol=1e-5)


def test_a_tensor_depends_on_seed_key_and_shape_alone():
    state, alone = (seeded_tensors(shapes, RECIPE, 3) for shapes in (SHAPES, {"a.bias": (500,)}))
    np.testing.assert_array_equal(state["a.bias"], alone["a.bias"])
    assert not np.array_equal(seeded_tensors(SHAPES, RECIPE, 4)["a.bias"], state["a.bias"])
