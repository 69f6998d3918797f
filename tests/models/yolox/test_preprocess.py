"""The letterbox against the textbook formula, bit by bit."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cvport.models.yolox.postprocess import ImageTransform
from cvport.models.yolox.preprocess import CONVENTIONS, PreprocessParams, params_for, preprocess
from cvport.runtimes.sources.images import read_image

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SQUARE, WIDE, TALL = (64, 64), (64, 96), (128, 32)


def textbook(image, convention, input_size):
    """Resize, pad with 114, normalise in float32, transpose: as EasyCV's and Megvii's transforms do one by one."""
    height, width = input_size
    ratio = min(height / image.shape[0], width / image.shape[1])
    extra = 0.5 if convention == "easycv" else 0
    new_height = max(int(image.shape[0] * ratio + extra), 1)
    new_width = max(int(image.shape[1] * ratio + extra), 1)
    resized = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    padded = np.full((height, width, 3), 114, np.uint8)
    padded[:new_height, :new_width] = resized
    values = padded.astype(np.float32)
    if convention != "megvii":
        mean, std = IMAGENET
        values = (values[..., ::-1] - np.float32(mean)) / np.float32(std)
    return values.transpose(2, 0, 1)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from(CONVENTIONS),
    st.sampled_from([SQUARE, WIDE, TALL]),
)
@example(1, 1, "easycv", SQUARE)
@example(2000, 3, "easycv", SQUARE)
@example(3, 2000, "easycv", WIDE)
@example(2000, 3, "megvii", WIDE)
@example(3, 2000, "megvii-legacy", TALL)
@example(64, 96, "easycv", WIDE)
@example(128, 32, "megvii", TALL)
@example(64, 10, "megvii-legacy", SQUARE)
@example(10, 64, "megvii", SQUARE)
def test_bits_of_the_textbook_formula(height, width, convention, input_size):
    image = picture(height, width)
    params = params_for(convention, input_size)
    fresh, frame = preprocess(image, params)
    assert fresh.shape == (3, *input_size)
    assert fresh.dtype == np.float32
    np.testing.assert_array_equal(bits(fresh), bits(textbook(image, convention, input_size)))
    assert (frame.width, frame.height) == (width, height)

    buffer = np.full((3, *input_size), np.nan, np.float32)
    filled, again = preprocess(image, params, out=buffer)
    assert filled is buffer
    assert again == frame
    np.testing.assert_array_equal(bits(buffer), bits(fresh))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_buffer_used_again_keeps_nothing_of_the_picture_before(convention):
    params = params_for(convention, SQUARE)
    buffer = np.empty((3, *SQUARE), np.float32)
    for height, width in ((64, 64), (64, 20), (20, 64), (1, 64), (64, 64), (3, 500), (2, 2)):
        preprocess(picture(height, width, seed=width), params, out=buffer)
        expected = textbook(picture(height, width, seed=width), convention, SQUARE)
        np.testing.assert_array_equal(bits(buffer), bits(expected))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_row_of_a_batch_is_written_alone(convention):
    batch = np.full((3, 3, *WIDE), np.nan, np.float32)
    preprocess(picture(50, 70), params_for(convention, WIDE), out=batch[1])
    np.testing.assert_array_equal(bits(batch[1]), bits(textbook(picture(50, 70), convention, WIDE)))
    assert np.isnan(batch[[0, 2]]).all()


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_views_of_arrays(size):
    rgb = picture(*size)
    params = params_for("easycv", WIDE)
    for view in (rgb[..., ::-1], rgb[::-1], rgb[:, ::-1], np.asfortranarray(rgb), np.repeat(rgb, 2, axis=1)[:, ::2]):
        expected = textbook(np.ascontiguousarray(view), "easycv", WIDE)
        np.testing.assert_array_equal(bits(preprocess(view, params)[0]), bits(expected))


def test_the_picture_is_left_as_it_is():
    for size in ((64, 64), (50, 70)):
        image = picture(*size)
        preprocess(image, params_for("easycv", SQUARE))
        np.testing.assert_array_equal(image, picture(*size))


def test_colours_and_padding_by_numbers():
    blue = np.full((32, 64, 3), (255, 0, 10), np.uint8)
    megvii = preprocess(blue, params_for("megvii", SQUARE))[0]
    assert megvii[:, 0, 0].tolist() == [255, 0, 10]
    assert megvii[:, 40, 0].tolist() == [114, 114, 114]
    easycv = preprocess(blue, params_for("easycv", SQUARE))[0]
    np.testing.assert_allclose(easycv[:, 0, 0], [(10 - 123.675) / 58.395, -116.28 / 57.12, (255 - 103.53) / 57.375])
    np.testing.assert_allclose(easycv[:, 40, 0], (114 - np.array(IMAGENET[0])) / IMAGENET[1], rtol=1e-5)


def rows_of_picture(convention, height, width, input_size=(416, 416)):
    """How many rows and columns of the network input the picture takes."""
    filled = preprocess(np.zeros((height, width, 3), np.uint8), params_for(convention, input_size))[0][0]
    return int((filled[:, 0] == filled[0, 0]).sum()), int((filled[0] == filled[0, 0]).sum())


def test_easycv_rounds_to_nearest_and_megvii_down():
    # 427 * 416/640 = 277.55
    assert rows_of_picture("easycv", 427, 640) == (278, 416)
    assert rows_of_picture("megvii", 427, 640) == (277, 416)
    assert rows_of_picture("megvii-legacy", 640, 427) == (416, 277)
    assert rows_of_picture("easycv", 640, 427) == (416, 278)
    # 100.5 is rounded up; with a half below, both agree.
    assert rows_of_picture("easycv", 201, 832) == (101, 416)
    assert rows_of_picture("easycv", 200, 832) == rows_of_picture("megvii", 200, 832) == (100, 416)
    # 23 * (416/23) is 415.99999999999994: upstream truncates it too.
    assert rows_of_picture("megvii", 23, 23) == (415, 415)
    assert rows_of_picture("easycv", 23, 23) == (416, 416)
    # Not a pixel would be left.
    assert rows_of_picture("megvii", 2000, 3) == (416, 1)
    assert rows_of_picture("megvii", 3, 2000) == (1, 416)


def test_boxes_are_scaled_by_the_width_in_easycv_and_by_the_ratio_in_megvii():
    portrait = picture(640, 427)
    assert preprocess(portrait, params_for("easycv", (416, 416)))[1] == ImageTransform(427, 640, 278 / 427)
    assert preprocess(portrait, params_for("megvii", (416, 416)))[1] == ImageTransform(427, 640, 0.65)
    assert preprocess(portrait, params_for("megvii-legacy", (416, 416)))[1] == ImageTransform(427, 640, 0.65)
    landscape = picture(427, 640)
    assert preprocess(landscape, params_for("easycv", (416, 416)))[1] == ImageTransform(640, 427, 416 / 640)
    # The side that fits less decides, in inputs that are not square too.
    assert preprocess(picture(100, 100), params_for("megvii", (64, 96)))[1].scale == 0.64
    assert preprocess(picture(10, 192), params_for("megvii", (64, 96)))[1].scale == 0.5


def test_small_pictures_are_enlarged():
    assert preprocess(picture(13, 26), params_for("easycv", (416, 416)))[1].scale == 16


def test_every_number_is_a_parameter():
    params = PreprocessParams(
        (4, 8), "bgr", (1.0, 2.0, 3.0), (2.0, 4.0, 8.0), "own", pad_value=9, interpolation="nearest"
    )
    image = np.array([[[11, 12, 13], [255, 0, 77]]], np.uint8)
    values = preprocess(image, params)[0]
    assert values[:, 3, 0].tolist() == [5, 2.5, 1.25]
    assert values[:, 0, 7].tolist() == [127, -0.5, 9.25]
    assert (values[:, :, 3] == values[:, :, 0]).all()
    # Neither a mean of 0 alone nor a deviation of 1 alone leaves the values as they are.
    mixed = PreprocessParams((4, 8), "bgr", (0.0, 2.0, 0.0), (2.0, 1.0, 1.0), "own", interpolation="nearest")
    assert preprocess(image, mixed)[0][:, 3, 0].tolist() == [5.5, 10, 13]
    padded = preprocess(picture(4, 2), params)[0]
    assert padded[:, 0, 7].tolist() == [4, 1.75, 0.75]


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": (0, 64)},
        {"colour": "grey"},
        {"rounding": "up"},
        {"box_scale": "height"},
        {"interpolation": "cubic"},
        {"pad_value": 256},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (1.0,)},
    ],
)
def test_parameters_that_make_no_sense(change):
    with pytest.raises(ValueError, match=r"which is not|padding|not positive|has a 0"):
        replace(params_for("easycv", SQUARE), **change)


@pytest.mark.parametrize("name", ["nearest", "area", "bilinear"])
def test_interpolations(name):
    mode = {"nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR}[name]
    params = PreprocessParams((64, 64), "bgr", (0.0,) * 3, (1.0,) * 3, "own", interpolation=name)
    expected = cv2.resize(picture(150, 150), (64, 64), interpolation=mode)
    np.testing.assert_array_equal(preprocess(picture(150, 150), params)[0], expected.transpose(2, 0, 1))


def test_an_unknown_convention():
    with pytest.raises(ValueError, match="no preprocessing convention 'easy'; there are easycv, megvii"):
        params_for("easy", SQUARE)


@pytest.mark.parametrize("size", [416, 640])
def test_the_input_that_easycv_computes_from_photos(real, size):
    path = real / "yolox_nano_hand_easycv_detections_public.json"
    recorded = json.loads(path.read_text())["images"]
    photos = [name for name in recorded if (real / "images" / name).is_file()]
    assert len(photos) == 4
    for name in photos:
        entry = recorded[name][f"e{size}"]
        values, frame = preprocess(read_image(real / "images" / name), params_for("easycv", (size, size)))
        sample = values.reshape(-1)[entry["input_positions"]]
        np.testing.assert_array_equal(bits(sample), bits(np.array(entry["input_sample"], np.float32)))
        assert values.sum(dtype=np.float64) == pytest.approx(entry["input_sum"], rel=1e-9)
        assert np.float32(frame.scale) == np.float32(entry["scale_factor"][0])
