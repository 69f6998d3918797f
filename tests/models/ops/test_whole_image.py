"""Network inputs of classifiers, bit by bit against the textbook formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvport.models.ops.whole_image import ImageTransform, WholeImageParams, preprocess


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def textbook(image, size):
    """RGB, scaled by Pillow, divided by 255, mean and standard deviation 0.5."""
    scaled = Image.fromarray(np.ascontiguousarray(image[..., ::-1])).resize(size[::-1], Image.Resampling.BILINEAR)
    values = np.asarray(scaled, np.float32) / np.float32(255)
    return ((values - np.float32(0.5)) / np.float32(0.5)).transpose(2, 0, 1)


def bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([(64, 64), (48, 96)]))
def test_bits_of_the_formula(height, width, size):
    image = picture(height, width)
    values, frame = preprocess(image, WholeImageParams(size))
    assert (values.shape, values.dtype) == ((3, *size), np.float32)
    np.testing.assert_array_equal(bits(values), bits(textbook(image, size)))
    assert frame == ImageTransform(width, height)


def test_colour_order_mean_and_std_are_by_channel_of_the_network():
    image = np.full((5, 5, 3), (10, 20, 30), np.uint8)
    params = WholeImageParams((4, 4), "rgb", (0.0, 5.0, 10.0), (1.0, 2.0, 5.0))
    np.testing.assert_allclose(preprocess(image, params)[0][:, 0, 0], (30, 7.5, 0), atol=1e-5)
    params = WholeImageParams((4, 4), "bgr", (0.0, 5.0, 10.0), (1.0, 2.0, 5.0))
    np.testing.assert_allclose(preprocess(image, params)[0][:, 0, 0], (10, 7.5, 4), atol=1e-5)


def test_a_row_of_a_batch_is_written_alone_and_whole():
    batch = np.full((3, 3, 48, 64), np.nan, np.float32)
    params = WholeImageParams((48, 64))
    for height, width in ((50, 70), (48, 64), (1, 1)):
        values, _ = preprocess(picture(height, width), params, out=batch[1])
        assert np.shares_memory(values, batch)
        np.testing.assert_array_equal(bits(batch[1]), bits(textbook(picture(height, width), (48, 64))))
    assert np.isnan(batch[[0, 2]]).all()


def test_a_part_of_a_picture_is_taken_as_it_lies():
    image = picture(90, 120)
    part = image[10:70, 20:100]
    before = image.copy()
    values, frame = preprocess(part, WholeImageParams((48, 48)))
    np.testing.assert_array_equal(values, preprocess(part.copy(), WholeImageParams((48, 48)))[0])
    np.testing.assert_array_equal(image, before)
    assert frame == ImageTransform(80, 60)


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "grey"},
        {"input_size": (224,)},
        {"input_size": (0, 224)},
        {"mean": (1.0, 2.0)},
        {"std": (1.0, 0.0, 1.0)},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        WholeImageParams(**{"input_size": (224, 224)} | wrong)
