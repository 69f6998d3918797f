"""Antialiased scaling against a plain implementation of its definition."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvport.models.ops.resize import resize_antialiased


def weights(source, target):
    """(target, source): triangles as wide as the step, cut at the borders, times 2**22 (Pillow's Resample.c)."""
    step = source / target
    support = max(step, 1.0)
    matrix = np.zeros((target, source))
    for i in range(target):
        centre = (i + 0.5) * step
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), source)
        for j in range(first, last):
            matrix[i, j] = max(1 - abs((j - centre + 0.5) / support), 0)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return np.floor(matrix * 2**22 + 0.5).astype(np.int64)


def across(image, width):
    return ((np.einsum("xw,hwc->hxc", weights(image.shape[1], width), image) + 2**21) >> 22).clip(0, 255)


def down(image, height):
    return across(image.swapaxes(0, 1), height).swapaxes(0, 1)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([(32, 32), (16, 48), (40, 7)]))
def test_the_definition(height, width, size):
    image = picture(height, width)
    found = resize_antialiased(image, size)
    assert (found.shape, found.dtype) == ((*size, 3), np.uint8)
    # The first step is rounded to grey levels, so their order is seen; which one it is, is for Pillow to choose.
    orders = down(across(image, size[1]), size[0]), across(down(image, size[0]), size[1])
    assert any(np.array_equal(found, expected) for expected in orders)


def test_a_picture_that_is_not_much_taller_than_wide_is_scaled_across_first():
    for height, width in ((48, 64), (64, 64), (64, 48)):
        image = picture(height, width)
        expected = down(across(image, 28), 28)
        np.testing.assert_array_equal(resize_antialiased(image, (28, 28)), expected)
        assert not np.array_equal(across(down(image, 28), 28), expected)


def test_every_pixel_takes_part():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::8, ::8] = 255
    small = resize_antialiased(image, (8, 8))
    assert small.min() > 0
    assert small.mean() == pytest.approx(image.mean(), abs=1)


def test_size_is_height_and_width():
    assert resize_antialiased(picture(30, 20), (5, 9)).shape == (5, 9, 3)


def test_a_picture_of_the_size_stays_as_it_is():
    image = picture(24, 31)
    np.testing.assert_array_equal(resize_antialiased(image, (24, 31)), image)


def test_channels_are_scaled_by_themselves_in_any_order():
    image = picture(90, 70)
    np.testing.assert_array_equal(
        resize_antialiased(image[..., ::-1], (32, 32)), resize_antialiased(image, (32, 32))[..., ::-1]
    )


def test_part_of_a_picture_and_nothing_around_it():
    image = picture(90, 70)
    part = image[10:60, 5:65]
    np.testing.assert_array_equal(resize_antialiased(part, (32, 32)), resize_antialiased(part.copy(), (32, 32)))


def test_import_needs_neither_opencv_nor_torch():
    code = "import sys, cvport.models.ops.resize; sys.exit(any(m in sys.modules for m in ('torch', 'cv2')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
