"""Results drawn onto a copy of the picture."""

import itertools

import numpy as np
import pytest
from cvport import draw
from cvport.models.results import Detections
from cvport.runtimes.drawing import class_colour

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
