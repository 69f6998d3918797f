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
