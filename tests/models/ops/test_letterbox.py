"""An image at the top left of a network input, the rest padded."""

import numpy as np
import pytest

from cvport.models.ops.letterbox import fit, write_letterbox
from cvport.models.ops.normalise import tables


@pytest.mark.parametrize(
    ("shape", "rounding", "expected", "ratio"),
    [
        ((40, 60), "down", (32, 48), 0.8),
        ((41, 60), "down", (32, 48), 0.8),
        ((41, 60), "nearest", (33, 48), 0.8),
        ((1, 600), "down", (1, 48), 0.08),
        ((48, 48), "down", (48, 48), 1.0),
    ],
)
def test_an_image_is_scaled_to_fit(shape, rounding, expected, ratio):
    image = np.zeros((*shape, 3), np.uint8)
    scaled, exact = fit(image, (48, 48), rounding, "bilinear")
    assert scaled.shape == (*expected, 3)
    assert exact == pytest.approx(ratio)


def test_every_value_is_written():
    out = np.full((3, 4, 5), np.nan, np.float32)
    image = np.full((2, 3, 3), (1, 2, 3), np.uint8)
    write_letterbox(image, "rgb", tables((1.0, 0.0, 0.0), (2.0, 1.0, 1.0)), 9, out)
    assert out[:, :2, :3].reshape(3, -1).tolist() == [[1] * 6, [2] * 6, [1] * 6]
    padding = [(4.0, 9.0, 9.0)[plane] for plane in range(3)]
    assert (out[:, 2:] == np.float32(padding)[:, None, None]).all()
    assert (out[:, :, 3:] == np.float32(padding)[:, None, None]).all()
