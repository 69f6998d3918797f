"""Landmarks of the network in pixels of the image."""

import subprocess
import sys

import numpy as np
import pytest

from cvport.models.landmarks68.postprocess import ImageTransform, PostprocessParams, postprocess

PARAMS = PostprocessParams()


def decode(landmarks, *transforms):
    return postprocess({"landmarks": np.asarray(landmarks, np.float32)}, transforms, PARAMS, ())


def whole(width, height):
    return ImageTransform(np.diag([width / 256, height / 256, 1]).astype(np.float32), None)


def test_points_are_mapped_back_by_the_two_ratios():
    landmarks = np.zeros((1, 68, 2))
    landmarks[0, :3] = [[-1, -1], [1, 1], [0.5, -0.25]]
    (found,) = decode(landmarks, whole(640, 480))
    assert found.boxes is None
    assert (found.points.shape, found.points.dtype) == ((1, 68, 2), np.float32)
    # ((p + 1) * 256 - 1) / 2 is -0.5, 255.5, and 191.5 and 95.5; the middle is 127.5.
    expected = [[-1.25, -0.9375], [638.75, 479.0625], [478.75, 179.0625], [318.75, 239.0625]]
    np.testing.assert_allclose(found.points[0, :4], expected, rtol=1e-6)


def test_points_are_neither_clipped_nor_rounded():
    landmarks = np.full((1, 68, 2), 1.5)
    landmarks[0, 0] = -2.000123
    (found,) = decode(landmarks, whole(256, 256))
    np.testing.assert_allclose(found.points[0, 0], -128.515744, rtol=1e-6)
    np.testing.assert_allclose(found.points[0, 1:], 319.5)


def test_points_of_a_box_go_through_its_matrix_and_the_box_is_told():
    inverse = np.array([[0.5, 0, 30], [0, 0.5, -7], [0, 0, 1]], np.float32)
    landmarks = np.zeros((2, 68, 2))
    landmarks[1, 5] = [1, -1]
    first, second = decode(landmarks, whole(512, 256), ImageTransform(inverse, (20, 0, 80.5, 60)))
    assert first.boxes is None
    np.testing.assert_allclose(first.points[0], np.broadcast_to([255, 127.5], (68, 2)))
    np.testing.assert_array_equal(second.boxes, np.array([[20, 0, 80.5, 60]], np.float32))
    np.testing.assert_allclose(second.points[0, 5], [157.75, -7.25])
    np.testing.assert_allclose(second.points[0, 6], [93.75, 56.75])
    assert len(first) == len(second) == 1


def test_rows_beyond_the_transforms_are_padding():
    assert len(decode(np.zeros((4, 68, 2)), whole(10, 10))) == 1


def test_another_input_size():
    outputs = {"landmarks": np.ones((1, 68, 2), np.float32)}
    (found,) = postprocess(
        outputs, [ImageTransform(np.eye(3, dtype=np.float32), None)], PostprocessParams((64, 128)), ()
    )
    np.testing.assert_array_equal(found.points[0], np.broadcast_to([127.5, 63.5], (68, 2)))


@pytest.mark.parametrize("size", [(256,), (0, 256), (256, -1)])
def test_sizes_that_make_no_sense_are_refused(size):
    with pytest.raises(ValueError, match=r"input.size"):
        PostprocessParams(size)


def test_numpy_alone_is_needed():
    code = """
import sys, cvport.models.landmarks68.postprocess
print(sorted({"torch", "onnx", "onnxruntime", "cv2", "PIL"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
