"""Results drawn onto a copy of the image."""

import itertools
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from cvport import draw
from cvport.errors import InputError
from cvport.models.results import Classification, Detections, Landmarks
from cvport.runtimes.kinds import drawing, fonts
from cvport.runtimes.kinds.canvas import Canvas
from cvport.runtimes.kinds.drawing import chinese_font, class_colour
from cvport.runtimes.kinds.registry import KINDS

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


def labels_of(image, result, shown="auto", **style):
    """Return which pixels the labels change, and the image with them."""
    plain, labelled = (draw(image, result, labels_shown=each, **style) for each in ("none", shown))
    return (plain != labelled).any(axis=2), labelled


@pytest.mark.parametrize("box", [[285, 0, 300, 40], [0, 180, 20, 200], [0, 0, 300, 200], [280, 170, 300, 200]])
def test_label_of_a_box_at_the_border_stays_inside_and_is_whole(box):
    middle, _ = labels_of(picture(), detections([100, 100, 100 + box[2] - box[0], 100 + box[3] - box[1]]))
    border, _ = labels_of(picture(), detections(box))
    assert border.sum() > 0.75 * middle.sum() > 200


def test_no_line_crosses_a_label():
    crossed, crossing = [20, 80, 120, 160], [50, 10, 290, 190]
    alone, drawn = labels_of(picture(), detections(crossed, scores=[0.4]))
    rows, columns = np.flatnonzero(alone.any(axis=1)), np.flatnonzero(alone.any(axis=0))
    assert columns[0] < 50 < columns[-1]
    tag = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # The better one is drawn last, its left edge through the place of the tag.
    both = draw(picture(), detections(crossing, crossed, scores=[0.9, 0.4]))
    np.testing.assert_array_equal(both[tag], drawn[tag])


def crowd(count, width, height, seed=0):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, (width * 0.9, height * 0.8), (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(0.05, 0.3, (count, 2)) * (width, height)])
    return detections(*np.minimum(boxes, (width, height) * 2), scores=np.linspace(0.95, 0.3, count).tolist())


def rects(image, result, shown):
    """Return where the tags stand, best first, and what they say."""
    canvas = Canvas(image, shown)
    drawing.draw_detections(canvas, result, drawing.Style())
    return [tag.rect for tag in canvas._tags], [tag.text for tag in canvas._tags]


def overlapping(places):
    return [
        (a, b)
        for a, b in itertools.combinations(places, 2)
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom
    ]


def test_labels_of_a_crowd_do_not_cover_each_other():
    image, found = picture(480, 640), crowd(60, 640, 480)
    places, texts = rects(image, found, "auto")
    assert len(places) > 30
    assert not overlapping(places)
    assert texts[0] == "hand 0.95", "the best has the first choice"
    assert all(min(rect) >= 0 and rect.right <= 640 and rect.bottom <= 480 for rect in places)
    every, texts = rects(image, found, "all")
    assert len(every) == 60
    assert all(text.startswith("hand ") for text in texts)


def test_labels_cover_no_more_than_a_quarter_of_the_image():
    for size in ((64, 48), (320, 240), (640, 480)):
        changed, _ = labels_of(picture(size[1], size[0]), crowd(40, *size))
        assert changed.mean() < 0.26, size
    every, _ = labels_of(picture(48, 64), crowd(40, 64, 48), "all")
    assert every.mean() > 0.5


@pytest.mark.parametrize(
    ("size", "text"), [((120, 90), "hand 0.50"), ((64, 48), "hand 0.50"), ((40, 34), "0.50"), ((22, 20), None)]
)
def test_labels_get_shorter_where_there_is_no_room(size, text):
    box = [1, 1, size[0] - 1, size[1] - 1]
    _, texts = rects(picture(size[1], size[0]), detections(box), "auto")
    assert texts == ([] if text is None else [text])
    _, texts = rects(picture(size[1], size[0]), detections(box), "all")
    assert len(texts) == 1


def test_labels_of_small_boxes_are_smaller():
    small, large = (
        rects(picture(800, 800), detections([300, 300, 300 + side, 300 + side]), "auto")[0][0] for side in (30, 300)
    )
    assert small.right - small.left < 0.7 * (large.right - large.left)


def test_a_label_hides_no_small_box():
    """The usual place, above the better box, is where the other is."""
    boxes = [[50, 100, 250, 190], [55, 88, 75, 97]]
    places, _ = rects(picture(), detections(*boxes, scores=[0.9, 0.5]), "auto")
    assert not (places[0].left < 75 and places[0].right > 55 and places[0].top < 97 and places[0].bottom > 88)


def test_no_labels_on_demand():
    box = [20, 80, 120, 160]
    drawn = draw(picture(), detections(box), labels_shown="none")
    assert (drawn[:79] == 128).all()
    assert tuple(drawn[80, 70]) == class_colour(0)[::-1]
    np.testing.assert_array_equal(draw(picture(), MOODS, labels_shown="none"), picture())


@pytest.mark.parametrize("style", [{"labels_shown": "some"}, {"colour_by": "score"}])
def test_unknown_styles_are_refused(style):
    with pytest.raises(InputError, match="is not one of"):
        draw(picture(), detections(), **style)


def test_a_colour_for_each_detection_on_demand():
    boxes = [[20, 80, 60, 160], [100, 80, 140, 160], [180, 80, 220, 160]]
    by_class, each = (draw(picture(), detections(*boxes), colour_by=by) for by in ("class", "instance"))
    assert {tuple(by_class[120, x].tolist()) for x in (20, 100, 180)} == {class_colour(0)[::-1]}
    assert [tuple(each[120, x].tolist()) for x in (20, 100, 180)] == [class_colour(i)[::-1] for i in range(3)]


def test_an_edge_at_the_border_is_drawn_on_the_last_pixel():
    drawn = draw(picture(), detections([20, 80, 300, 200]), labels_shown="none")
    assert tuple(drawn[120, 299]) == tuple(drawn[199, 100]) == class_colour(0)[::-1]


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


# --- classes

MOODS = Classification(np.array([0.1, 0.7, 0.2], np.float32), ("sad", "happy", "angry"))


def test_classes_are_listed_best_first_in_the_corner():
    drawn = draw(picture(), MOODS)
    rows = np.flatnonzero((drawn != 128).any(axis=(1, 2)))
    assert rows[0] == 0
    assert rows[-1] < 100, "three tags"
    assert tuple(drawn[3, 1]) == class_colour(1)[::-1], "the best in its colour"
    assert (drawn[:, 150:] == 128).all()


@pytest.mark.parametrize(("size", "rows"), [((300, 200), 5), ((100, 80), 3), ((64, 48), 1), ((32, 32), 0)])
def test_as_many_classes_are_listed_as_there_is_room_for(size, rows):
    seven = Classification(np.linspace(0.1, 0.7, 7, dtype=np.float32), tuple(f"mood {i}" for i in range(7)))
    for shown, count in (("auto", rows), ("all", 5)):
        canvas = Canvas(picture(size[1], size[0]), shown)
        drawing.draw_classes(canvas, seven, drawing.Style())
        assert len(canvas._tags) == count, shown
        assert not overlapping([tag.rect for tag in canvas._tags])
    changed, _ = labels_of(picture(size[1], size[0]), seven)
    assert changed.mean() <= 0.25


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
    monkeypatch.setattr(fonts, "chinese_font", lambda: None)
    box = [20, 80, 120, 160]
    number = draw(picture(), detections(box, class_ids=[7], label="#7"))
    np.testing.assert_array_equal(draw(picture(), detections(box, class_ids=[7], label=label)), number)


def test_labels_without_a_chinese_name_stay_as_they_are(monkeypatch):
    names = {"hand": "人手"}
    style = drawing.Style(names=names)
    assert style.name("hand", 0) == "人手"
    assert style.name("cell phone", 67) == "cell phone"
    monkeypatch.setattr(fonts, "chinese_font", lambda: None)
    assert style.name("hand", 0) == "hand", "no font has the name, one has the label"
    box = [20, 80, 120, 160]
    phone = detections(box, label="cell phone")
    np.testing.assert_array_equal(draw(picture(), phone, names=names), draw(picture(), phone))


@pytest.mark.parametrize("result", [detections(), Landmarks(np.zeros((1, 5, 2), np.float32)), MOODS])
def test_note_stands_in_the_bottom_left_corner(result):
    plain, noted = draw(picture(), result), draw(picture(), result, note="untrained weights")
    changed = np.argwhere((plain != noted).any(axis=2))
    assert changed[:, 0].min() > 170
    assert changed[:, 0].max() == 199
    assert changed[:, 1].min() == 0


@pytest.mark.parametrize("shown", ["auto", "all", "none"])
def test_note_is_always_written_and_covered_by_nothing(shown):
    image, text = picture(48, 64), "untrained weights"
    alone = draw(image, detections(), note=text)
    drawn = draw(image, crowd(30, 64, 48), note=text, labels_shown=shown)
    note = (alone != image).any(axis=2)
    assert note.sum() > 300
    np.testing.assert_array_equal(drawn[note], alone[note])


# --- another kind


def test_the_table_of_kinds_loads_no_image_library():
    code = (
        "import sys; from cvport.runtimes.kinds.registry import KINDS, get_kind; "
        "[get_kind(name) for name in KINDS]; print({'PIL', 'cv2'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@dataclass(frozen=True)
class Circles:
    """A kind of result that this package does not know."""

    kind: ClassVar[str] = "circles"
    rows: tuple[tuple[float, float, float], ...]

    def __len__(self):
        return len(self.rows)


def test_a_new_kind_draws_itself(monkeypatch):
    def draw_circles(canvas, circles, style):
        for index, (x, y, r) in enumerate(circles.rows):
            canvas.points(np.array([[x, y]], np.float32), style.colour(index, index), r)
            canvas.tag((f"circle {r:.0f}",), (x - r, y - r, x + r, y + r), (255, 255, 255))

    module = ModuleType("kind_of_circles")
    module.KIND = SimpleNamespace(draw="kind_of_circles:draw_circles")
    module.draw_circles = draw_circles
    monkeypatch.setitem(sys.modules, "kind_of_circles", module)
    monkeypatch.setitem(KINDS, "circles", "kind_of_circles:KIND")
    result = Circles(((60, 60, 20), (200, 120, 30)))
    changed, drawn = labels_of(picture(), result)
    assert tuple(drawn[60, 60]) == class_colour(0)[::-1]
    assert tuple(drawn[120, 200]) == class_colour(1)[::-1]
    assert changed[:40].any()
