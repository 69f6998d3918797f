"""Places in an image through preprocessing and back: for every model, any size, and by the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cvport.models.landmarks68.postprocess import PostprocessParams as LandmarksPostprocess
from cvport.models.landmarks68.postprocess import postprocess as place_landmarks
from cvport.models.landmarks68.preprocess import PreprocessParams as LandmarksPreprocess
from cvport.models.landmarks68.preprocess import preprocess as prepare_landmarks
from cvport.models.nanodet.preprocess import PreprocessParams as NanoDetPreprocess
from cvport.models.nanodet.preprocess import preprocess as prepare_nanodet
from cvport.models.yolox.postprocess import PostprocessParams as YoloxPostprocess
from cvport.models.yolox.postprocess import postprocess as decode_yolox
from cvport.models.yolox.preprocess import CONVENTIONS, params_for
from cvport.models.yolox.preprocess import preprocess as prepare_yolox

SIZES = ((64, 64), (64, 96), (128, 32))
sides = st.integers(16, 300)


@st.composite
def marked(draw):
    """A black image with a white rectangle, and its place: x1 y1 x2 y2."""
    height, width = draw(sides), draw(sides)
    x1, y1 = draw(st.integers(0, width - 8)), draw(st.integers(0, height - 8))
    x2, y2 = draw(st.integers(x1 + 8, width)), draw(st.integers(y1 + 8, height))
    assume((x1, y1, x2, y2) != (0, 0, width, height))  # white all over has no edges
    image = np.zeros((height, width, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    return image, (x1, y1, x2, y2)


def middle(values):
    """The (x, y) middle of what is bright in a (3, H, W) network input, from the outer edge of the first pixel."""
    light = values.sum(axis=0, dtype=np.float64)
    light -= light.min()
    rows, columns = np.indices(light.shape) + 0.5
    return (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()


def within(found, box, pixels):
    x1, y1, x2, y2 = box
    return abs(found[0] - (x1 + x2) / 2) <= pixels[0] and abs(found[1] - (y1 + y2) / 2) <= pixels[1]


@settings(max_examples=60)
@given(marked(), st.sampled_from(CONVENTIONS), st.sampled_from(SIZES))
def test_letterbox_by_pixels(marked, convention, size):
    image, box = marked
    # Padding is of another grey than black: only the image's own part is looked at.
    values, transform = prepare_yolox(image, params_for(convention, size))
    height, width = (max(int(side * transform.scale), 1) for side in image.shape[:2])
    assume(min(height, width) >= 12)
    x, y = middle(values[:, :height, :width])
    # Nearest to a network pixel, and half a pixel for rounded sides.
    slack = 1.5 / transform.scale
    assert within((x / transform.scale, y / transform.scale), box, (slack, slack))


@settings(max_examples=100)
@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from(CONVENTIONS), st.sampled_from(SIZES), st.data())
def test_letterbox_there_and_back(height, width, convention, size, data):
    image = np.full((height, width, 3), 7, np.uint8)
    _, transform = prepare_yolox(image, params_for(convention, size))
    assert (transform.width, transform.height) == (width, height)
    part = st.floats(0, 1, width=32)
    x1, x2 = sorted((data.draw(part) * width, data.draw(part) * width))
    y1, y2 = sorted((data.draw(part) * height, data.draw(part) * height))
    box = np.array([x1, y1, x2, y2])
    inside = box * transform.scale
    # One cell of stride 8 asks for that box: its centre and size in cells, the size as a logarithm.
    centre, extent = (inside[:2] + inside[2:]) / 2, inside[2:] - inside[:2]
    assume((extent > 1e-3).all())
    outputs = {}
    for level, stride in enumerate((8, 16, 32)):
        cells = (size[0] // stride, size[1] // stride)
        outputs[f"cls_{level}"] = np.full((1, 1, *cells), 20, np.float32)
        outputs[f"reg_{level}"] = np.zeros((1, 4, *cells), np.float32)
        outputs[f"obj_{level}"] = np.full((1, 1, *cells), -20, np.float32)
    outputs["obj_0"][0, 0, 0, 0] = 20
    outputs["reg_0"][0, :, 0, 0] = [*(centre / 8), *np.log(extent / 8)]
    (found,) = decode_yolox(outputs, [transform], YoloxPostprocess(), ("a",))
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], box, rtol=0, atol=1e-5 * max(height, width) + 1e-3)


@settings(max_examples=60)
@given(marked(), st.sampled_from(["asymmetric", "half_pixel"]), st.sampled_from(SIZES))
def test_stretching_by_pixels(marked, alignment, size):
    image, box = marked
    values, transform = prepare_nanodet(image, NanoDetPreprocess(size, alignment=alignment))
    ratios = transform.width / transform.input_width, transform.height / transform.input_height
    x, y = middle(values)
    slack = tuple(1.0 + 1.5 * ratio for ratio in ratios)
    assert within((x * ratios[0], y * ratios[1]), box, slack)


@settings(max_examples=60)
@given(marked(), st.booleans())
def test_crops_by_pixels(marked, whole):
    image, box = marked
    params = LandmarksPreprocess((64, 64))
    values, transform = prepare_landmarks(image, params, box=None if whole else box)
    x, y = middle(values)
    # As the network would say it: from -1 to 1 over the input.
    points = np.tile(np.float32([x / 32 - 1, y / 32 - 1]), (1, 68, 1))
    (found,) = place_landmarks({"landmarks": points}, [transform], LandmarksPostprocess((64, 64)), ())
    scale = max(abs(transform.inverse[0, 0]), abs(transform.inverse[1, 1]))
    assert found.points.shape == (1, 68, 2)
    assert within(found.points[0, 0] + 0.5, box, (1.0 + 1.5 * scale,) * 2)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_marks_are_seen(convention):
    image = np.zeros((40, 80, 3), np.uint8)
    image[10:20, 60:70] = 255
    values, transform = prepare_yolox(image, params_for(convention, (64, 64)))
    assert middle(values[:, :32, :64]) == pytest.approx((65 * transform.scale, 15 * transform.scale), abs=0.3)
