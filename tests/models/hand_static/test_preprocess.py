"""The network input that upstream's code recorded, bit by bit."""

import numpy as np
import pytest

from cvport.models.hand_static.preprocess import PreprocessParams, preprocess
from cvport.runtimes.sources.images import read_image


@pytest.mark.parametrize("part", ["whole", "box"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_the_recorded_network_input(shared, golden, name, part):
    x1, y1, x2, y2 = golden.notes["images"][name][part]["box_xyxy"]
    image = read_image(shared / f"goldens/images/{name}.png")[y1:y2, x1:x2]
    values, _ = preprocess(image, PreprocessParams())
    np.testing.assert_array_equal(values, golden.arrays[f"{name}.{part}.input"][0])


def test_an_even_image_becomes_red_green_blue_in_minus_one_to_one():
    """The values of any image that is all blue 255, green 51, red 0; needs no recorded ones."""
    image = np.full((30, 50, 3), (255, 51, 0), np.uint8)
    values, _ = preprocess(image, PreprocessParams())
    assert values.shape == (3, 112, 112)
    assert values.dtype == np.float32
    for plane, expected in zip(values, (-1, -0.6, 1), strict=True):
        np.testing.assert_allclose(plane, expected, rtol=0, atol=1e-6)
