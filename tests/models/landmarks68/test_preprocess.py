"""Network inputs, bit by bit: against upstream's formula and the crops that upstream's code recorded."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvport.errors import InputError
from cvport.models.landmarks68.postprocess import PostprocessParams, postprocess
from cvport.models.landmarks68.preprocess import PreprocessParams, preprocess
from cvport.runtimes.sources.images import read_image

PARAMS = PreprocessParams()


def textbook(crop):
    """Divide by 255, times 2, minus 1 in float32, transpose."""
    return (crop.astype(np.float32) / 255 * 2 - 1).transpose(2, 0, 1)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bits(values):
    return np.ascontiguousarray(values).view(np.uint32)


def back(frame, points):
    """Where points of the network input, in pixels, lie in the image."""
    normalised = np.zeros((1, 68, 2), np.float32)
    normalised[0, : len(points)] = (2 * np.float32(points) + 1) / 256 - 1
    return postprocess({"landmarks": normalised}, [frame], PostprocessParams(), ())[0].points[0, : len(points)]


@pytest.mark.parametrize(("height", "width"), [(480, 640), (97, 61), (256, 256), (1, 1), (300, 2)])
def test_the_whole_image_is_stretched(height, width):
    image = picture(height, width)
    values, frame = preprocess(image, PARAMS)
    assert (values.shape, values.dtype) == ((3, 256, 256), np.float32)
    np.testing.assert_array_equal(bits(values), bits(textbook(cv2.resize(image, (256, 256)))))
    assert frame.box is None
    expected = [[0, 0], [width, height], [width / 2, height / 4]]
    np.testing.assert_allclose(back(frame, [[0, 0], [256, 256], [128, 64]]), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("kind", ["pipeline_full", "face_max180"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_the_recorded_crops(shared, name, kind, colour):
    # The releases of OpenCV warp differently, by up to 3 grey levels.
    folder = shared / "goldens/landmarks68" / ("opencv4" if cv2.__version__.startswith("4.") else "")
    recorded, key = np.load(folder / "image_seed0.npz"), f"{name}.{kind}.{colour}"
    box = json.loads((folder / "image_seed0.json").read_text())["images"][name][f"{kind}.{colour}"]["box_xyxy"]
    image = read_image(shared / f"goldens/images/{name}.png")
    if kind == "pipeline_full":
        image = cv2.resize(image, (256, 256))
    values, frame = preprocess(image, PreprocessParams(colour=colour), box=box)
    np.testing.assert_array_equal(bits(values), bits(textbook(recorded[f"{key}.crop_uint8"])))
    np.testing.assert_array_equal(frame.inverse, np.linalg.inv(recorded[f"{key}.matrix"]))
    assert frame.box == tuple(box)


def test_a_box_is_cut_out_with_a_ninth_more_and_keeps_its_proportions():
    image = picture(400, 500)
    # The longer side is 90, the crop 100 wide: from 180 to 280 and from 150 to 250.
    _, frame = preprocess(image, PARAMS, box=(185, 180, 275, 220))
    np.testing.assert_allclose(back(frame, [[127.5, 127.5]]), [[230, 200]], atol=1e-4)
    step = 100 / 256
    corners = [[230 - 127.5 * step, 200 - 127.5 * step], [230 + 127.5 * step, 200 + 127.5 * step]]
    np.testing.assert_allclose(back(frame, [[0, 0], [255, 255]]), corners, atol=1e-3)


def test_pixels_go_where_the_frame_says():
    image = np.zeros((300, 300, 3), np.uint8)
    image[111, 142] = 255
    values, frame = preprocess(image, PARAMS, box=np.array([120, 90, 165, 135]))
    y, x = np.unravel_index(values[0].argmax(), (256, 256))
    np.testing.assert_allclose(back(frame, [[x, y]]), [[142, 111]], atol=0.2)


def test_outside_of_the_image_is_black():
    image = np.full((100, 100, 3), 255, np.uint8)
    values, _ = preprocess(image, PARAMS, box=(-45, -45, 45, 45))
    assert (values[:, :120, :] == -1).all()
    assert (values[:, 136:, 136:] == 1).all()


def test_a_row_of_a_batch_is_written_alone_and_whole():
    batch = np.full((3, 3, 256, 256), np.nan, np.float32)
    for box in (None, (10, 10, 40, 40)):
        values, _ = preprocess(picture(50, 70), PARAMS, out=batch[1], box=box)
        assert np.shares_memory(values, batch)
        np.testing.assert_array_equal(batch[1], preprocess(picture(50, 70), PARAMS, box=box)[0])
    assert np.isnan(batch[[0, 2]]).all()


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((10, 10, 10, 20), "no extent"),
        ((10, 20, 30, 20), "no extent"),
        ((30, 10, 20, 20), "no extent"),
        ((np.nan, 10, 20, 20), "no extent"),
        ((0, 0, np.inf, 20), "no extent"),
        ((-20, 10, 0, 20), "outside of the image of 70x50"),
        ((10, -20, 20, 0), "outside of the image"),
        ((70, 10, 80, 20), "outside of the image"),
        ((10, 50, 20, 60), "outside of the image"),
        ((0, 0, 1e-45, 1e-45), "too large or too small"),
        ((0, 0, 1e300, 1), "too large or too small"),
        ((-1e308, 0, 1e308, 1), "too large or too small"),
        ((-1e38, -1e38, 3e38, 3e38), "too large or too small"),
        ((10, 10, 20), "not a face box"),
        ((10, 10, 20, 20, 0.9), "not a face box"),
        (("a", "b", "c", "d"), "not a face box"),
        (7, "not a face box"),
        ([[1, 2, 3, 4]], "not a face box"),
    ],
    ids=str,
)
def test_boxes_that_cannot_be_used(box, message):
    with pytest.raises(InputError, match=message) as caught:
        preprocess(picture(50, 70), PARAMS, box=box)
    assert "x1 y1 x2 y2" in caught.value.hint


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e308, 1e308), min_size=4, max_size=4))
def test_any_box_gives_finite_points_or_an_error(box):
    try:
        values, frame = preprocess(picture(50, 70), PARAMS, box=box)
    except InputError:
        return
    assert np.isfinite(values).all()
    assert np.isfinite(back(frame, [[-0.5, -0.5], [255.5, 255.5]])).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "grey"},
        {"input_size": (256,)},
        {"input_size": (0, 256)},
        {"value_range": (1.0, -1.0)},
        {"value_range": (1.0,)},
        {"box_unit": 0.0},
        {"crop_unit": float("nan")},
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        PreprocessParams(**wrong)
