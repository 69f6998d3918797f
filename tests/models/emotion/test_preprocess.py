"""The network input that the reference processor recorded, bit by bit."""

import numpy as np
import pytest

from cvport.models.emotion.preprocess import PreprocessParams, preprocess
from cvport.models.ops.resize import resize_antialiased
from cvport.runtimes.sources.images import read_image


@pytest.mark.parametrize("part", ["whole", "face"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_the_recorded_network_input(shared, golden, name, part):
    image = read_image(shared / f"goldens/images/{name}.png")
    left, top, right, bottom = golden.notes["images"][name][f"{part}.pil"]["box_xyxy"]
    image = image[top:bottom, left:right]
    values, _ = preprocess(image, PreprocessParams())
    np.testing.assert_array_equal(values, golden.arrays[f"{name}.{part}.pil.input"][0])
    # The processor's other implementation rounds elsewhere.
    scaled = resize_antialiased(image, (224, 224))[..., ::-1].astype(int)
    assert np.abs(scaled - golden.arrays[f"{name}.{part}.tv.resized_uint8"]).max() <= 1


def test_an_even_image_becomes_red_green_blue_in_minus_one_to_one():
    """The values of any image that is all blue 255, green 51, red 0; needs no recorded ones."""
    image = np.full((30, 50, 3), (255, 51, 0), np.uint8)
    values, _ = preprocess(image, PreprocessParams())
    assert values.shape == (3, 224, 224)
    assert values.dtype == np.float32
    for plane, expected in zip(values, (-1, -0.6, 1), strict=True):
        np.testing.assert_allclose(plane, expected, rtol=0, atol=1e-6)
