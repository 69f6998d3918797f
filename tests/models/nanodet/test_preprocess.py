"""Network inputs, bit by bit: against upstream's formula and the inputs that upstream's code recorded."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvport.models.nanodet.postprocess import ImageTransform
from cvport.models.nanodet.preprocess import PreprocessParams, preprocess
from cvport.models.ops.stretch import stretch
from cvport.runtimes.sources.images import read_image

MEAN = np.float32((103.53, 116.28, 123.675)) / 255
STD = np.float32((57.375, 57.12, 58.395)) / 255


def textbook(image, size):
    """Scale, divide by 255, subtract and divide in float32, transpose."""
    values = stretch(image, size).astype(np.float32) / 255
    return ((values - MEAN) / STD).transpose(2, 0, 1)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([(64, 64), (64, 96), (128, 32)]))
def test_bits_of_upstreams_formula(height, width, size):
    image = picture(height, width)
    values, frame = preprocess(image, PreprocessParams(size))
    assert (values.shape, values.dtype) == ((3, *size), np.float32)
    np.testing.assert_array_equal(bits(values), bits(textbook(image, size)))
    assert frame == ImageTransform(width, height, size[1], size[0])


@pytest.mark.parametrize(("colour", "kind"), [("bgr", "training_bgr"), ("rgb", "upstream_rgb")])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_the_recorded_network_input(shared, golden_nanodet, name, colour, kind):
    # Recorded with OpenCV 5; the same here with any version.
    recorded = np.load(shared / "goldens/nanodet/image_seed0.npz")[f"{name}.{kind}.input"]
    image = read_image(shared / f"goldens/images/{name}.png")
    values, _ = preprocess(image, PreprocessParams(colour=colour))
    np.testing.assert_array_equal(bits(values), bits(recorded[0]))


def test_a_row_of_a_batch_is_written_alone_and_whole():
    batch = np.full((3, 3, 64, 96), np.nan, np.float32)
    params = PreprocessParams((64, 96))
    for height, width in ((50, 70), (64, 96), (1, 1)):
        values, _ = preprocess(picture(height, width), params, out=batch[1])
        assert np.shares_memory(values, batch)
        np.testing.assert_array_equal(bits(batch[1]), bits(textbook(picture(height, width), (64, 96))))
    assert np.isnan(batch[[0, 2]]).all()


def test_the_corner_may_be_fixed_instead_as_resize_does():
    image = picture(150, 90)
    values, _ = preprocess(image, PreprocessParams((64, 64), mean=(0.0,) * 3, std=(1.0,) * 3, alignment="half_pixel"))
    np.testing.assert_allclose(values, cv2.resize(image, (64, 64)).transpose(2, 0, 1), rtol=1e-6)
    same = preprocess(picture(64, 64), PreprocessParams((64, 64), alignment="half_pixel"))[0]
    np.testing.assert_array_equal(same, preprocess(picture(64, 64), PreprocessParams((64, 64)))[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "grey"},
        {"alignment": "middle"},
        {"input_size": (320,)},
        {"input_size": (0, 320)},
        {"mean": (1.0, 2.0)},
        {"std": (1.0, 0.0, 1.0)},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        PreprocessParams(**wrong)
