"""Network inputs, bit by bit: against upstream's formula and the inputs that upstream's code recorded."""

import numpy as np
import pytest
from cvport.models.hand_static.postprocess import Frame
from cvport.models.hand_static.preprocess import PreprocessParams, preprocess
from cvport.runtimes.images import read_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image


def textbook(image, size):
    """Scale the RGB picture with Pillow, divide by 255, subtract and divide by a half in float32, transpose."""
    small = Image.fromarray(np.ascontiguousarray(image[..., ::-1])).resize(size[::-1], Image.Resampling.BILINEAR)
    values = np.asarray(small).astype(np.float32) / np.float32(255)
    return ((values - np.float32(0.5)) / np.float32(0.5)).transpose(2, 0, 1)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 250), st.integers(1, 250), st.sampled_from([(112, 112), (32, 48)]))
def test_bits_of_upstreams_formula(height, width, size):
    image = picture(height, width)
    values, frame = preprocess(image, PreprocessParams(size))
    assert (values.shape, values.dtype) == ((3, *size), np.float32)
    np.testing.assert_array_equal(bits(values), bits(textbook(image, size)))
    assert frame == Frame(width, height)


@pytest.mark.parametrize("part", ["whole", "box"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_the_recorded_network_input(shared, golden, name, part):
    x1, y1, x2, y2 = golden.notes["images"][name][part]["box_xyxy"]
    image = read_image(shared / f"goldens/images/{name}.png")[y1:y2, x1:x2]
    values, _ = preprocess(image, PreprocessParams())
    np.testing.assert_array_equal(bits(values), bits(golden.arrays[f"{name}.{part}.input"][0]))


def test_a_row_of_a_batch_is_written_alone_and_whole():
    batch = np.full((3, 3, 64, 96), np.nan, np.float32)
    params = PreprocessParams((64, 96))
    for height, width in ((50, 70), (64, 96), (1, 1)):
        values, _ = preprocess(picture(height, width), params, out=batch[1])
        assert np.shares_memory(values, batch)
        np.testing.assert_array_equal(bits(batch[1]), bits(textbook(picture(height, width), (64, 96))))
    assert np.isnan(batch[[0, 2]]).all()


def test_colour_order_mean_and_std_are_by_channel_of_the_network():
    image = np.full((5, 5, 3), (10, 20, 30), np.uint8)
    params = PreprocessParams((4, 4), "rgb", (0.0, 5.0, 10.0), (1.0, 2.0, 5.0))
    np.testing.assert_allclose(preprocess(image, params)[0][:, 0, 0], (30, 7.5, 0), atol=1e-5)
    params = PreprocessParams((4, 4), "bgr", (0.0, 5.0, 10.0), (1.0, 2.0, 5.0))
    np.testing.assert_allclose(preprocess(image, params)[0][:, 0, 0], (10, 7.5, 4), atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "grey"},
        {"input_size": (112,)},
        {"input_size": (0, 112)},
        {"mean": (1.0, 2.0)},
        {"std": (1.0, 0.0, 1.0)},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        PreprocessParams(**wrong)
