"""The tools that kinds of results draw themselves with."""

import numpy as np
import pytest

from cvport.runtimes.kinds.canvas import WHITE, Canvas, class_colour

RED, GREY = (255, 0, 0), 128


def image(height=200, width=300):
    return np.full((height, width, 3), GREY, np.uint8)


def test_marks_go_to_a_copy_in_the_order_of_opencv():
    given = image()
    canvas = Canvas(given)
    canvas.points(np.array([[50, 60]], np.float32), RED, 4)
    assert tuple(canvas.image()[60, 50]) == (0, 0, 255)
    assert (given == GREY).all()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_edges_of_a_box_grow_inwards_with_a_dark_rim_on_both_sides(width):
    canvas = Canvas(image())
    canvas.box((50, 60, 150, 160), RED, width)
    row = canvas.image()[100, 47 : 52 + width + 1].tolist()
    grey, black, red = [GREY] * 3, [0] * 3, [0, 0, 255]
    assert row == [grey, grey, black, *[red] * width, black, grey, grey]


def test_lines_are_closed_on_demand_and_pass_over_what_is_no_number():
    points = np.array([[50, 50], [np.nan, 3], [150, 50], [150, 150]], np.float32)
    drawn = []
    for closed in (False, True):
        canvas = Canvas(image())
        canvas.lines(points, RED, closed=closed, width=3)
        drawn.append(canvas.image())
    for each in drawn:
        assert tuple(each[50, 100]) == tuple(each[100, 150]) == (0, 0, 255)
    assert (drawn[0][100, 100] == GREY).all()
    assert (drawn[1][100, 100] != GREY).any()
    canvas = Canvas(image())
    canvas.lines(points[:2], RED)
    assert (canvas.image() == GREY).all(), "one point is no line"


def test_points_have_one_colour_or_one_each():
    canvas = Canvas(image())
    canvas.points(np.array([[50, 60], [90, 60]], np.float32), [RED, WHITE], 3)
    assert [tuple(canvas.image()[60, x].tolist()) for x in (50, 90)] == [(0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize(("shown", "there"), [("auto", True), ("all", True), ("none", False)])
def test_tags_tell_whether_they_are_there(shown, there):
    canvas = Canvas(image(), shown)
    assert canvas.tag(("hand",), (20, 80, 120, 160), RED) == there
    assert (canvas.image() != GREY).any() == there


def test_a_tag_that_has_no_room_is_left_out():
    canvas = Canvas(image(20, 20))
    assert not canvas.tag(("a long name", "0.93"), (0, 0, 20, 20), RED)
    assert not canvas.tag(("  ",), (0, 0, 20, 20), RED)
    assert not canvas.tag(("hand",), (0, 0, np.nan, 20), RED)
    assert (canvas.image() == GREY).all()


def test_the_first_tag_is_over_the_others():
    canvas = Canvas(image(30, 60), "all")
    for index in range(6):
        canvas.tag(("hand 0.93",), (0, 0, 60, 30), class_colour(index))
    first = canvas._tags[0]
    drawn = canvas.image()
    assert tuple(drawn[first.rect.top + 1, first.rect.left + 1]) == class_colour(0)[::-1]


def test_numbers_have_room_or_are_all_left_out():
    points = np.array([[x, y] for x in range(20, 300, 40) for y in range(20, 200, 40)], np.float32)
    middle = np.array([150, 100], np.float32)
    for scale, fits in ((1.0, True), (0.1, False)):
        canvas = Canvas(image())
        assert canvas.numbers(points * scale, middle * scale) == fits
        assert (canvas.image() != GREY).any() == fits


def test_sizes_fit_the_image():
    small, large = Canvas(image(48, 64)), Canvas(image(2160, 3840))
    assert (small.line, small.dot) == (1, 1)
    assert (large.line, large.dot) == (9, 11)
