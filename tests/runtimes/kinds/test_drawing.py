"""Results drawn onto a copy of the picture."""

import itertools

import numpy as np
import pytest
from cvport import draw
from cvport.models.landmarks68.contours import CONTOURS
from cvport.models.results import Classification, Detections, Landmarks
from cvport.runtimes.kinds import drawing
from cvport.runtimes.kinds.drawing import chinese_font, class_colour

IDS = range(80)


def detections(*boxes, scores=None, class_ids=None, label="hand"):
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores or [0.5] * count, np.float32),
        np.array(class_ids or [0] * count, np.int64),
        (label,) * count,
    )


def picture(height=200, width=300):
    return np.full((height, width, 3), 128, np.uint8)


def test_draws_on_a_copy():
    image = picture()
    image.flags.writeable = False
    drawn = draw(image, detections([20, 80, 120, 160]))
    assert (image == 128).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert not np.shares_memory(drawn, image)


def test_nothing_found_nothing_drawn():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(draw(image, detections()), image)


def test_edges_have_the_colour_of_the_class_and_the_rest_stays():
    drawn = draw(picture(), detections([20, 80, 120, 160], class_ids=[3]))
    colour = class_colour(3)[::-1]
    for x, y in ((20, 120), (120, 120), (100, 160), (110, 80)):
        assert tuple(drawn[y, x]) == colour, (x, y)
    assert (drawn[90:150, 30:110] == 128).all(), "inside"
    changed = np.argwhere((drawn != 128).any(axis=2))
    assert changed[:, 1].min() >= 20 - 3
    assert changed[:, 1].max() <= 120 + 3
    assert changed[:, 0].max() <= 160 + 3
    assert changed[:, 0].min() >= 80 - 30, "the label stands right above the box"


def test_label_and_score_are_written():
    plain, other, score = (
        draw(picture(), detections([20, 80, 120, 160], label=label, scores=[value]))
        for label, value in (("hand", 0.5), ("face", 0.5), ("hand", 0.9))
    )
    assert (plain != other).any()
    assert (plain != score).any()
    assert (plain[:78] != 128).any(), "above the box"


def test_label_of_a_box_at_the_border_stays_inside():
    drawn = draw(picture(), detections([285, 0, 300, 40]))
    assert (drawn[:30, 255:280] != 128).any(), "moved left"


def test_best_is_drawn_last():
    box = [20, 80, 120, 160]
    drawn = draw(picture(), detections(box, box, scores=[0.9, 0.4], class_ids=[1, 2]))
    assert tuple(drawn[120, 20]) == class_colour(1)[::-1]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_tiny_pictures(size):
    drawn = draw(picture(*size), detections([0, 0, size[1], size[0]]))
    assert drawn.shape == (*size, 3)
    assert (drawn != 128).any()


@pytest.mark.parametrize(
    "box", [[0, 0, 300, 200], [-1e6, -1e6, 1e6, 1e6], [50, 50, 50, 50], [300, 200, 300, 200], [0, 0, 0.2, 0.1]]
)
def test_boxes_of_any_size(box):
    assert draw(picture(), detections(box)).shape == (200, 300, 3)


@pytest.mark.parametrize("label", ["", "手", "é" * 300, "a\nb", "🖐"])
def test_labels_of_any_text(label):
    assert (draw(picture(), detections([20, 80, 120, 160], label=label)) != 128).any()


def test_many_boxes():
    boxes = [[x, y, x + 9, y + 9] for x in range(0, 290, 30) for y in range(0, 190, 20)]
    drawn = draw(picture(), detections(*boxes, class_ids=list(range(len(boxes)))))
    assert all((drawn[int(y1) : int(y2), int(x1) : int(x2)] != 128).any() for x1, y1, x2, y2 in boxes)


def test_colours_are_stable_and_different():
    colours = [class_colour(i) for i in IDS]
    assert colours == [class_colour(i) for i in IDS]
    assert len(set(colours)) == len(IDS)
    assert all(0 <= value <= 255 for colour in colours for value in colour)
    assert min(sum(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(colours)) > 150


# --- faces


def face(scale=1.0, shift=(0.0, 0.0), boxes=None):
    """68 points on a grid, ten pixels apart."""
    grid = np.array([(20 + 10 * (i % 17), 30 + 10 * (i // 17)) for i in range(68)], np.float32)
    return Landmarks((grid * scale + np.float32(shift))[None], boxes)


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


def test_numbers_are_drawn_on_demand():
    plain, numbered = draw(picture(), face()), draw(picture(), face(), numbers=True)
    new = numbered[(numbered != plain).any(axis=2)].astype(int).sum(axis=1)
    # 68 of them, white with a dark rim.
    assert (new > 600).sum() > 68
    assert (new < 100).sum() > 68


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


# --- classes

MOODS = Classification(np.array([0.1, 0.7, 0.2], np.float32), ("sad", "happy", "angry"))


def test_classes_are_listed_best_first_in_the_corner():
    drawn = draw(picture(), MOODS)
    rows = np.flatnonzero((drawn != 128).any(axis=(1, 2)))
    assert rows[0] == 0
    assert rows[-1] < 100, "three tags"
    assert tuple(drawn[3, 1]) == class_colour(1)[::-1], "the best in its colour"
    assert (drawn[:, 150:] == 128).all()


# --- names in Chinese


def test_chinese_names_are_written_with_a_font_that_has_them():
    assert chinese_font() is not None
    english, chinese, other = (
        draw(picture(), MOODS, names=names) for names in ({}, {"happy": "开心"}, {"happy": "悲伤"})
    )
    assert (english != chinese).any()
    assert (chinese != other).any(), "two boxes for two characters would be alike"


@pytest.mark.parametrize("label", ["手", "\U0010ffff", "ab\U000f0000"])
def test_what_no_font_can_write_becomes_the_number_of_the_class(monkeypatch, label):
    monkeypatch.setattr(drawing, "chinese_font", lambda: None)
    box = [20, 80, 120, 160]
    number = draw(picture(), detections(box, class_ids=[7], label="#7"))
    np.testing.assert_array_equal(draw(picture(), detections(box, class_ids=[7], label=label)), number)


@pytest.mark.parametrize("result", [detections(), face(), MOODS])
def test_note_stands_in_the_bottom_left_corner(result):
    plain, noted = draw(picture(), result), draw(picture(), result, note="untrained weights")
    changed = np.argwhere((plain != noted).any(axis=2))
    assert changed[:, 0].min() > 170
    assert changed[:, 0].max() == 199
    assert changed[:, 1].min() == 0
