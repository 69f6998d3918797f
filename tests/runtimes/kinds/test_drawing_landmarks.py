"""Points of faces and of other things, their contours and numbers, drawn onto a copy of the image."""

import itertools
import logging

import numpy as np
import pytest

from cvport import draw
from cvport.models.landmarks68.contours import CONTOURS, SKELETON
from cvport.models.results import Contour, Landmarks, Skeleton
from cvport.runtimes.kinds import drawing
from cvport.runtimes.kinds.drawing import class_colour


def picture(height=200, width=300):
    return np.full((height, width, 3), 128, np.uint8)


def face(scale=1.0, shift=(0.0, 0.0), boxes=None):
    """68 points on a grid, ten pixels apart."""
    grid = np.array([(20 + 10 * (i % 17), 30 + 10 * (i // 17)) for i in range(68)], np.float32)
    return Landmarks((grid * scale + np.float32(shift))[None], boxes, SKELETON)


def test_every_point_has_the_colour_of_its_contour():
    drawn = draw(picture(), face())
    for index, contour in enumerate(CONTOURS):
        for point in contour.points:
            x, y = face().points[0, point].astype(int)
            assert tuple(drawn[y, x]) == class_colour(index)[::-1], point


def test_contours_join_points_and_close_where_they_are_closed():
    found = face(scale=2.0, shift=(-30, -40))
    points, (plain, joined) = found.points[0], (draw(picture(400, 400), found, contours=on) for on in (False, True))
    for contour in CONTOURS:
        pairs = list(itertools.pairwise(contour.points))
        first_and_last = (contour.points[-1], contour.points[0])
        for a, b in [*pairs, first_and_last]:
            x, y = ((points[a] + points[b]) / 2).astype(int)
            changed = (joined[y, x] != plain[y, x]).any()
            if (a, b) != first_and_last:
                assert changed, (contour.name, a, b)
            elif contour.closed:
                assert changed, contour.name
    x, y = ((points[0] + points[16]) / 2 + (0, 5)).astype(int)
    assert (joined[y, x] == 128).all(), "the jaw is open"


def numbered(scale, side):
    """Return what numbers change of an image with one face, and the image."""
    found = face(scale=scale)
    plain, with_numbers = (draw(picture(side, side), found, numbers=on) for on in (False, True))
    return (plain != with_numbers).any(axis=2), with_numbers, found


def test_numbers_stand_beside_their_points():
    changed, drawn, found = numbered(3.0, 600)
    new = drawn[changed].astype(int).sum(axis=1)
    # 68 of them, white with a dark rim.
    assert (new > 600).sum() > 68 * 5
    assert (new < 100).sum() > 68 * 5
    for x, y in found.points[0].astype(int):
        assert not changed[y - 1 : y + 2, x - 1 : x + 2].any(), "no number on a point"
        assert changed[max(y - 20, 0) : y + 21, max(x - 25, 0) : x + 26].any()


def test_numbers_stand_away_from_the_middle_of_the_face():
    angles = np.arange(12) * (np.pi / 6)
    points = np.stack([150 + 60 * np.cos(angles), 150 + 60 * np.sin(angles)], axis=1).astype(np.float32)
    plain, drawn = (draw(picture(300, 300), Landmarks(points[None]), numbers=on) for on in (False, True))
    y, x = np.nonzero((plain != drawn).any(axis=2))
    assert len(x) > 300
    assert np.hypot(x - 150, y - 150).min() > 60


def test_numbers_that_could_not_be_read_are_left_out_and_that_is_told_once(caplog):
    drawing._say_numbers_left_out.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            changed, _, _ = numbered(0.5, 200)
            assert not changed.any()
    assert [record.getMessage() for record in caplog.records] == [
        "faces that are too small for it are drawn without the numbers of their points"
    ]
    drawing._say_numbers_left_out.cache_clear()


def test_points_out_of_the_image_get_no_number():
    points = np.array([[[50, 50], [150, 100], [-4, 90], [303, 20]]], np.float32)
    plain, drawn = (draw(picture(), Landmarks(points), numbers=on) for on in (False, True))
    columns = np.flatnonzero((plain != drawn).any(axis=(0, 2)))
    assert 25 < columns[0] < columns[-1] < 175


BODY = Skeleton(
    tuple(f"joint {i}" for i in range(17)),
    (Contour("arm", (5, 7, 9), closed=False), Contour("hips", (11, 12), closed=False)),
)


@pytest.mark.parametrize("skeleton", [None, Skeleton(BODY.names), BODY])
def test_any_number_of_points_with_any_skeleton(skeleton):
    points = np.array([(20 + 15 * i, 40 + 7 * (i % 9)) for i in range(17)], np.float32)
    found = Landmarks(points[None], None, skeleton)
    plain, joined = (draw(picture(), found, contours=on) for on in (False, True))
    lines = skeleton.contours if skeleton is not None else ()
    colours = [class_colour(len(lines))[::-1]] * 17
    for index, contour in enumerate(lines):
        for point in contour.points:
            colours[point] = class_colour(index)[::-1]
    for (x, y), colour in zip(points.astype(int), colours, strict=True):
        assert tuple(plain[y, x]) == colour
    assert (plain == joined).all() == (not lines)
    if lines:
        x, y = ((points[7] + points[9]) / 2).astype(int)
        assert (joined[y, x] != plain[y, x]).any()


def test_a_colour_for_each_face_on_demand():
    two = Landmarks.join([face(), face(shift=(0, 90))])
    drawn = draw(picture(), two, colour_by="instance")
    for instance, points in enumerate(two.points.astype(int)):
        assert {tuple(drawn[y, x].tolist()) for x, y in points} == {class_colour(instance)[::-1]}


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_points_and_boxes_that_are_no_numbers_are_left_out(value):
    points = np.full((1, 68, 2), value, np.float32)
    boxes = np.array([[10, 20, value, 80], [20, 80, 120, 160]], np.float32)
    drawn = draw(picture(), Landmarks(points, None, SKELETON), contours=True, numbers=True)
    np.testing.assert_array_equal(drawn, picture())
    both = Landmarks(np.full((2, 68, 2), value, np.float32), boxes, SKELETON)
    assert tuple(draw(picture(), both)[120, 20]) == (255, 255, 255), "the other face's box"


@pytest.mark.parametrize("grey", [0, 255])
def test_marks_show_on_dark_and_light_pictures(grey):
    image = np.full((200, 300, 3), grey, np.uint8)
    points = draw(image, face())
    x, y = face().points[0, 40].astype(int)
    neighbourhood = points[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).astype(int)
    luma = neighbourhood @ np.array([0.114, 0.587, 0.299])
    assert luma.max() - luma.min() > 60


def test_face_boxes_are_drawn():
    boxes = np.array([[10, 20, 200, 80]], np.float32)
    drawn = draw(picture(), face(boxes=boxes))
    assert tuple(drawn[50, 10]) == (255, 255, 255)
    assert (draw(picture(), face())[50, 10] == 128).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2000, 1500)])
def test_faces_on_pictures_of_any_size(size):
    assert draw(picture(*size), face(), contours=True, numbers=True).shape == (*size, 3)


def test_faces_out_of_the_picture_and_none_at_all():
    far = Landmarks(np.full((1, 68, 2), -1e5, np.float32))
    none = Landmarks(np.zeros((0, 68, 2), np.float32), np.zeros((0, 4), np.float32))
    for result in (far, none):
        np.testing.assert_array_equal(draw(picture(), result, contours=True, numbers=True), picture())
