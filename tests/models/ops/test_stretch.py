"""Plain scaling against its definition, and against OpenCV 5's warp, which computes the same."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cvport.models.ops import stretch as module
from cvport.models.ops.stretch import stretch

SIZES = [(64, 64), (64, 96), (96, 32), (320, 320)]
OPENCV_5 = int(cv2.__version__.partition(".")[0]) >= 5


def fma(a, b, c):
    """a * b + c in float32, rounded once."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def definition(image, size):
    """Pixel x of the target is at x * w / W of the picture: bilinear, float32, zeros beyond."""
    (height, width), (rows, columns) = image.shape[:2], size
    y = np.arange(rows, dtype=np.float32) * np.float32(height / rows)
    x = np.arange(columns, dtype=np.float32) * np.float32(width / columns)
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    down, across = (y - np.floor(y))[:, None, None], (x - np.floor(x))[None, :, None]
    padded = np.zeros((height + 2, width + 2, 3), np.float32)
    padded[:height, :width] = image

    def line(below):
        left, right = padded[y0 + below][:, x0], padded[y0 + below][:, x0 + 1]
        return fma(np.broadcast_to(across, left.shape), right - left, left)

    top, bottom = line(0), line(1)
    return np.rint(fma(np.broadcast_to(down, top.shape), bottom - top, top)).astype(np.uint8)


def opencv(image, size):
    matrix = np.diag([size[1] / image.shape[1], size[0] / image.shape[0], 1.0])
    return cv2.warpPerspective(image, matrix, (size[1], size[0]))


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_exact(image, size):
    result = stretch(image, size)
    assert (result.shape, result.dtype) == ((*size, 3), np.uint8)
    np.testing.assert_array_equal(result, definition(np.ascontiguousarray(image), size))
    if OPENCV_5:
        np.testing.assert_array_equal(result, opencv(np.ascontiguousarray(image), size))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(SIZES), st.integers(0, 9))
@example(1, 1, (64, 64), 0)
@example(1, 1, (320, 320), 0)
@example(1, 300, (64, 96), 0)
@example(300, 1, (96, 32), 0)
@example(64, 64, (64, 64), 0)
@example(64, 65, (64, 64), 0)
@example(63, 64, (64, 64), 0)
@example(128, 192, (64, 96), 0)
@example(3, 2000, (320, 320), 0)
@example(2000, 3, (320, 320), 0)
def test_any_size_gives_the_bytes_of_the_definition(height, width, size, seed):
    assert_exact(picture(height, width, seed), size)


@pytest.mark.parametrize("size", [(320, 320), (416, 416), (320, 640)])
@pytest.mark.parametrize(("height", "width"), [(480, 640), (427, 640), (640, 427), (612, 612), (1080, 1920), (90, 100)])
def test_sizes_of_photos(height, width, size):
    assert_exact(picture(height, width), size)


# Halves everywhere: where rounding decides, and where the plain arithmetic is not enough.
@pytest.mark.parametrize(("height", "width"), [(480, 480), (352, 480), (336, 400), (330, 330), (320, 336)])
def test_values_at_a_half(height, width):
    image = picture(height, width) // 128 * 255
    assert_exact(image, (320, 320))
    assert_exact(picture(height, width), (320, 320))


@pytest.mark.parametrize(("height", "width"), [(2, 33000), (33000, 2), (1, 32767), (32766, 3)])
def test_pictures_beyond_16_bit_positions(height, width):
    image = picture(height, width)
    np.testing.assert_array_equal(stretch(image, (64, 96)), definition(image, (64, 96)))


@pytest.mark.parametrize(("height", "width"), [(480, 640), (100, 90), (61, 97)])
@pytest.mark.parametrize("limit", [0, module._MAX_SIDE])
def test_every_way_to_gather_gives_the_same(height, width, limit, monkeypatch):
    image = picture(height, width)
    expected = stretch(image, (320, 320))
    layout = module._layout(height, width, 320, 320)._replace(picks=False)
    monkeypatch.setattr(module, "_layout", lambda *_: layout)
    monkeypatch.setattr(module, "_MAX_SIDE", limit)
    np.testing.assert_array_equal(stretch(image, (320, 320)), expected)


def test_views_of_arrays_and_the_picture_is_left_as_it_is():
    image = picture(100, 150)
    views = (image[..., ::-1], image[::-1], image[:, ::-1], np.asfortranarray(image), image[:, ::2], image[10:, 7:])
    for view in views:
        np.testing.assert_array_equal(stretch(view, (64, 64)), definition(np.ascontiguousarray(view), (64, 64)))
    np.testing.assert_array_equal(image, picture(100, 150))


def test_the_first_pixel_stays_and_zeros_come_in_at_the_far_edges():
    white = np.full((2, 2, 3), 255, np.uint8)
    assert stretch(white, (4, 4))[..., 0].tolist() == [
        [255, 255, 255, 128],
        [255, 255, 255, 128],
        [255, 255, 255, 128],
        [128, 128, 128, 64],
    ]
    assert stretch(np.full((4, 4, 3), 255, np.uint8), (2, 2)).min() == 255
