"""Network inputs, bit by bit: against the processor's formula and the inputs that its code recorded."""

import numpy as np
import pytest
from cvport.models.emotion.postprocess import Frame
from cvport.models.emotion.preprocess import PreprocessParams, preprocess
from cvport.models.resize import resize_antialiased
from cvport.runtimes.images import read_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image


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
def test_bits_of_the_processors_formula(height, width, size):
    image = picture(height, width)
    values, frame = preprocess(image, PreprocessParams(size))
    assert (values.shape, values.dtype) == ((3, *size), np.float32)
    np.testing.assert_array_equal(bits(values), bits(textbook(image, size)))
    assert frame == Frame(width, height)


@pytest.mark.parametrize("part", ["whole", "face"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_the_recorded_network_input(shared, golden, name, part):
    image = read_image(shared / f"goldens/images/{name}.png")
    left, top, right, bottom = golden.notes["images"][name][f"{part}.pil"]["box_xyxy"]
    image = image[top:bottom, left:right]
    values, _ = preprocess(image, PreprocessParams())
    np.testing.assert_array_equal(bits(values), bits(golden.arrays[f"{name}.{part}.pil.input"][0]))
    # The processor's other implementation rounds elsewhere.
    scaled = resize_antialiased(image, (224, 224))[..., ::-1].astype(int)
    assert np.abs(scaled - golden.arrays[f"{name}.{part}.tv.resized_uint8"]).max() <= 1


def test_colour_order_matters_and_can_be_told():
    image = picture(30, 40)
    rgb, bgr = (preprocess(image, PreprocessParams((32, 32), colour=colour))[0] for colour in ("rgb", "bgr"))
    np.testing.assert_array_equal(rgb, bgr[::-1])
    assert np.abs(rgb - bgr).max() > 0.5


def test_a_row_of_a_batch_is_written_alone_and_whole():
    batch = np.full((3, 3, 48, 64), np.nan, np.float32)
    params = PreprocessParams((48, 64))
    for height, width in ((50, 70), (48, 64), (1, 1)):
        values, _ = preprocess(picture(height, width), params, out=batch[1])
        assert np.shares_memory(values, batch)
        np.testing.assert_array_equal(bits(batch[1]), bits(textbook(picture(height, width), (48, 64))))
    assert np.isnan(batch[[0, 2]]).all()


def test_a_part_of_a_picture_is_taken_as_it_lies():
    image = picture(90, 120)
    part = image[10:70, 20:100]
    before = image.copy()
    values, frame = preprocess(part, PreprocessParams((48, 48)))
    np.testing.assert_array_equal(values, preprocess(part.copy(), PreprocessParams((48, 48)))[0])
    np.testing.assert_array_equal(image, before)
    assert frame == Frame(80, 60)


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
        PreprocessParams(**wrong)
