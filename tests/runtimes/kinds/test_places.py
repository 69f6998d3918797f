"""Places of tags at boxes and of numbers beside points."""

import numpy as np
import pytest

from cvport.runtimes.kinds.places import Places, Rect, beside_points, font_sizes


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((50, 60, 150, 120), Rect(49, 48, 89, 60)),  # above
        ((50, 0, 150, 120), Rect(49, 0, 89, 12)),  # inside
        ((250, 60, 300, 120), Rect(249, 48, 289, 60)),
        ((280, 60, 300, 120), Rect(260, 48, 300, 60)),  # moved to the left
        ((50, 5, 90, 20), Rect(49, 21, 89, 33)),  # below: inside it would hide the box
    ],
)
def test_places_at_a_box(box, place):
    places = Places(300, 200)
    places.mark(box)
    assert places.find((40, 12), box) == place


def test_a_taken_place_is_left_and_another_box_is_not_hidden():
    places, box = Places(300, 200), (50.0, 60.0, 150.0, 120.0)
    places.take(Rect(49, 48, 89, 60))
    places.mark((55.0, 62.0, 70.0, 70.0))  # within the box, at its upper left corner
    assert places.find((40, 12), box) == Rect(112, 48, 152, 60)


@pytest.mark.parametrize("size", [(301, 12), (40, 201), (200, 100)])
def test_what_covers_too_much_has_no_place_unless_it_is_demanded(size):
    places, box = Places(300, 200), (50.0, 60.0, 150.0, 120.0)
    assert places.find(size, box) is None
    assert places.find(size, box, anyway=True) is not None


def test_demanded_places_overlap_as_little_as_possible():
    places, box = Places(100, 24), (0.0, 0.0, 100.0, 24.0)
    first = places.find((50, 12), box, anyway=True)
    places.take(first)
    second = places.find((50, 12), box, anyway=True)
    assert second.left >= first.right or second.top >= first.bottom


def test_a_quarter_of_the_image_is_afforded():
    places = Places(100, 100)
    assert places.affords(2500)
    assert not places.affords(2501)
    places.take(Rect(0, 0, 50, 40))
    assert places.affords(500)
    assert not places.affords(501)


def test_texts_stand_outwards_of_their_points_and_apart():
    points = np.array([[40.0, 50.0], [60.0, 50.0], [50.0, 40.0], [50.0, 60.0]])
    sizes = np.full((4, 2), (14.0, 10.0))
    corners = beside_points(points, sizes, np.full((4, 2), 50.0), lines=np.empty((0, 2)), gap=1, bounds=(100, 100))
    middles = corners + sizes / 2
    np.testing.assert_allclose(np.sign(middles - points) * (np.abs(middles - points) > 1e-6), np.sign(points - 50))


def test_texts_leave_lines_visible():
    points, lines = np.array([[50.0, 50.0]]), np.stack([np.full(40, 50.0), np.arange(10.0, 50.0)], axis=1)
    size, below = np.array([[8.0, 8.0]]), points + np.array([0.0, 9.0])
    (corner,) = beside_points(points, size, below, lines=lines, gap=1, bounds=(100, 100))
    assert corner[0] >= 51 or corner[0] + 8 <= 50
    assert corner[1] < 50, "still away from the centre below"


def test_no_place_for_more_texts_than_fit():
    points = np.full((30, 2), 50.0)
    found = beside_points(points, np.full((30, 2), 20.0), points, lines=np.empty((0, 2)), gap=1, bounds=(100, 100))
    assert found is None


def test_font_sizes_fall_to_the_smallest():
    assert list(font_sizes(20, 9)) == [20, 16, 13, 10, 9]
    assert list(font_sizes(9, 9)) == [9]
    assert list(font_sizes(5, 9)) == [9]
