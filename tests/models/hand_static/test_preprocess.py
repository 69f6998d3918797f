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
