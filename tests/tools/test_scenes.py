"""The scenes that sample weights are trained and scored on."""

import cv2
import numpy as np
import pytest

from shapes.outlines import OUTLINES
from shapes.photos import HELD_OUT, TRAINING, read_photo
from shapes.scenes import CLASSES, draw_scene


def scenes(count, size=(160, 200), **options):
    return [draw_scene([5, i], size, photos=tuple(HELD_OUT), **options) for i in range(count)]


def test_everything_follows_from_the_seed():
    first, again, other = (draw_scene(seed, (96, 128), photos=tuple(HELD_OUT)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert (first.image != other.image).any()


def test_boxes_lie_in_the_picture_and_have_classes():
    drawn = scenes(40)
    boxes = np.concatenate([scene.boxes for scene in drawn])
    ids = np.concatenate([scene.class_ids for scene in drawn])
    assert all(scene.image.shape == (160, 200, 3) and scene.image.dtype == np.uint8 for scene in drawn)
    assert len(boxes) == len(ids) > 80
    assert (boxes >= 0).all()
    assert (boxes <= [200, 160, 200, 160]).all()
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 5
    assert set(ids.tolist()) == set(range(len(CLASSES)))
    assert any(not len(scene.boxes) for scene in drawn), "pictures without a shape teach what is none"


def test_a_box_is_the_smallest_one_around_what_can_be_seen(monkeypatch):
    """On a black photograph, without shadow and noise, one shape is all that is not black."""
    monkeypatch.setattr("shapes.scenes._degrade", lambda _rng, canvas: canvas)
    monkeypatch.setattr("shapes.scenes._MOST_SHAPES", 1)
    drawn = [scene for scene in scenes(30, photo=np.zeros((160, 200, 3), np.uint8)) if len(scene.boxes)]
    assert len(drawn) > 5
    for scene in drawn:
        x, y, width, height = cv2.boundingRect((scene.image.max(axis=2) > 20).astype(np.uint8))
        np.testing.assert_allclose(scene.boxes, [[x, y, x + width, y + height]], atol=2)


def test_shapes_are_drawn_on_a_photograph_as_it_is():
    photo = read_photo("rocket.jpg")
    scene = draw_scene(3, (1, 1), photos=(), photo=photo)
    assert scene.image.shape == photo.shape
    assert len(scene.boxes) > 0
    read_photo.cache_clear()
    np.testing.assert_array_equal(photo, read_photo("rocket.jpg"), err_msg="the photograph itself was drawn on")


def test_classes_can_be_chosen():
    drawn = scenes(20, classes=("star", "heart"))
    assert {int(i) for scene in drawn for i in scene.class_ids} == {0, 1}


@pytest.mark.parametrize("name", CLASSES)
def test_outlines_fill_the_unit_frame(name):
    points = np.concatenate(OUTLINES[name])
    assert np.abs(points).max() <= 1.01
    assert np.ptp(points, axis=0).min() > 0.9


def test_scores_come_from_photographs_that_training_does_not_see():
    assert not set(TRAINING) & set(HELD_OUT)
    assert all({*TRAINING.values(), *HELD_OUT.values()}), "each has its licence"
    assert all(read_photo(name).ndim == 3 for name in (*TRAINING, *HELD_OUT))
