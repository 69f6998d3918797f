"""Models of faces and classes through the predictor and `cvrun`: what they take, how rows of a batch become results.

Their networks are stood in for by formulas; the networks themselves are tested with the models.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cvport import InputError, UsageError, get_model
from cvport.exporters.gate.probes import scene
from cvport.runtimes.commands import cvrun as cli
from cvport.runtimes.commands import options as options_module
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.predictor import Predictor

FACES, EMOTION, HAND = (get_model(name) for name in ("landmarks68", "emotion", "hand_static"))
CENTRE = 127.5  # of the network's input, what landmarks of 0 stand for
BOXES = [(10.0, 20.0, 50.0, 60.0), (30.0, 5.0, 90.0, 45.0), (0.0, 0.0, 120.0, 90.0)]


class Formula:
    """A backend that notes the batches it gets, and answers by a formula."""

    name, device, precision = "onnx", "cpu", "fp32"
    inputs, outputs, settings, parallel = (), (), {}, True

    def __init__(self, answer):
        self.answer, self.batches = answer, []

    def warm_up(self, inputs):
        pass

    def is_warm(self, inputs):
        return True

    def run(self, inputs):
        (rows,) = inputs.values()
        self.batches.append(len(rows))
        return self.answer(rows)

    def close(self):
        pass


def make(spec, answer, labels=(), **options):
    preprocess, postprocess = spec.params_types
    return Predictor(spec, Formula(answer), preprocess(), postprocess(), labels, **options)


def middles(rows):
    """Every point in the middle of the input."""
    return {"landmarks": np.zeros((len(rows), 68, 2), np.float32)}


@pytest.fixture
def faces():
    return make(FACES, middles)


@pytest.fixture
def image():
    return scene(90, 120, seed=0)


def test_whole_picture_is_one_face(faces, image):
    result = faces(image)
    assert result.boxes is None
    expected = [CENTRE * 120 / 256, CENTRE * 90 / 256]
    np.testing.assert_allclose(result.points, np.broadcast_to(expected, (1, 68, 2)), atol=1e-4)


def test_all_boxes_of_a_picture_are_one_batch(faces, image):
    result = faces(image, face_boxes=BOXES)
    assert faces.backend.batches == [3]
    np.testing.assert_array_equal(result.boxes, np.array(BOXES, np.float32))
    middle = [[(x1 + x2) / 2, (y1 + y2) / 2] for x1, y1, x2, y2 in BOXES]
    np.testing.assert_allclose(result.points[:, 0], middle, atol=1e-3)


def test_many_faces_stay_together_unless_a_limit_is_given(faces, image):
    assert len(faces(image, face_boxes=BOXES * 7)) == 21
    assert faces.backend.batches == [21]
    faces.backend.batches.clear()
    faces.batch_size = 4
    assert len(faces(image, face_boxes=BOXES * 3)) == 9
    assert faces.backend.batches == [4, 4, 1]


def test_file_of_a_fixed_batch_takes_faces_in_pieces(image):
    fixed = make(FACES, middles, batch=2)
    assert len(fixed(image, face_boxes=BOXES)) == 3
    assert fixed.backend.batches == [2, 2]


def test_faces_of_several_pictures(faces, image):
    results = faces.predict_batch([image, image, image], face_boxes=[BOXES[:2], None, BOXES[2:]])
    assert [len(result) for result in results] == [2, 1, 1]
    assert results[1].boxes is None
    np.testing.assert_array_equal(results[2].boxes, np.array(BOXES[2:], np.float32))


def test_arrays_of_boxes_and_no_boxes_at_all(faces, image):
    assert len(faces(image, face_boxes=np.array(BOXES))) == 3
    none = faces(image, face_boxes=[])
    assert none.points.shape == (0, 68, 2)
    assert none.boxes.shape == (0, 4)
    assert none.to_dict() == {"faces": []}


@pytest.mark.parametrize("box", [(1, 2, 3), (5, 5, 5, 9), (0, 0, np.nan, 4), (500, 500, 600, 600)])
def test_boxes_that_are_none(faces, image, box):
    with pytest.raises(InputError):
        faces(image, face_boxes=[box])


ONE = (10.0, 20.0, 50.0, 60.0)


@pytest.mark.parametrize(
    "one", [ONE, list(ONE), np.array(ONE, np.float32), [10, 20, 50, 60], np.array(ONE).astype(int)]
)
def test_one_box_by_itself(faces, image, one):
    expected = faces(image, face_boxes=[ONE])
    assert len(expected) == 1
    for result in (faces(image, face_boxes=one), faces.predict_batch([image], face_boxes=[one])[0]):
        np.testing.assert_array_equal(result.points, expected.points)
        np.testing.assert_array_equal(result.boxes, expected.boxes)


@pytest.mark.parametrize(
    "boxes",
    [
        5,
        "10,20,50,60",
        ["10,20,50,60"],
        ["10", "20", "50", "60"],
        (1, 2, 3),
        [[1, 2, 3, 4], [1, 2, 3]],
        [ONE, None],
        [[ONE]],
        {"box": ONE},
        [{"x1": 1}],
        (1, 2, None, 4),
        (True, False, True, True),
        np.zeros((2, 5)),
        np.zeros((0, 3)),
        object(),
        b"abcd",
    ],
)
def test_what_is_no_list_of_boxes(faces, image, boxes):
    with pytest.raises(InputError, match="box") as caught:
        faces(image, face_boxes=boxes)
    assert "x1, y1, x2, y2" in caught.value.hint
    first, second = faces.predict_batch([image, image], face_boxes=[boxes, ONE], on_error="return")
    assert isinstance(first, InputError)
    assert len(second) == 1


@pytest.mark.parametrize("boxes", [[], [None], [None] * 3, 7, ONE])
def test_boxes_of_another_number_of_images(faces, image, boxes):
    for on_error in ("raise", "return"):
        with pytest.raises(InputError, match="face boxes"):
            faces.predict_batch([image, image], face_boxes=boxes, on_error=on_error)


def test_box_outside_of_one_image_does_not_lose_the_rest(faces, image):
    outside = (500.0, 500.0, 600.0, 600.0)
    boxes = [BOXES[:2], [BOXES[0], outside, BOXES[1]], None, BOXES]
    results = faces.predict_batch([image] * 4, face_boxes=boxes, on_error="return")
    assert [len(result) for result in (results[0], results[2], results[3])] == [2, 1, 3]
    assert isinstance(results[1], InputError)
    assert faces.backend.batches == [7, 1], "of nine rows in batches of eight, one could not be made"
    np.testing.assert_array_equal(results[3].points, faces(image, face_boxes=BOXES).points)
    with pytest.raises(InputError):
        faces.predict_batch([image] * 4, face_boxes=boxes)


def test_other_models_look_at_whole_pictures(image):
    emotion = make(EMOTION, lambda rows: {"logits": np.zeros((len(rows), 7), np.float32)}, EMOTION.labels)
    with pytest.raises(UsageError, match="whole images"):
        emotion(image, face_boxes=BOXES)


def test_classes_are_limited_to_a_batch_size(image):
    def answer(rows):
        return {"logits": np.log(np.arange(1, 8, dtype=np.float32))[None].repeat(len(rows), axis=0)}

    emotion = make(EMOTION, answer, EMOTION.labels)
    emotion.batch_size = 2
    results = emotion.predict_batch([image] * 5)
    assert emotion.backend.batches == [2, 2, 1]
    assert [label for label, _ in results[0]] == list(reversed(EMOTION.labels))
    np.testing.assert_allclose(results[4].scores, np.arange(1, 8) / 28, atol=1e-6)


# --- cvrun


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run cvrun on such a predictor, in a folder with two pictures."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.png", "b.png")):
        cv2.imwrite(name, scene(90, 120, seed=seed))

    def call(made, *arguments):
        monkeypatch.setattr(
            options_module, "load", lambda *_, **options: setattr(made, "batch_size", options["batch_size"]) or made
        )
        made._closed.clear()  # a run before this one closed it
        code = run_command(cli.cvrun, ["--backend", "onnx", *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


def test_faces_on_the_command_line(run, faces):
    done = run(faces, "--face", "10,20,50,60", "--face", "30,5,90,45", "--format", "json", "a.png")
    assert done.code == 0, done.err
    (result,) = json.loads(done.out)["results"]
    assert [face["box"] for face in result["faces"]] == [[10, 20, 50, 60], [30, 5, 90, 45]]
    assert result["faces"][1]["landmarks"][67] == [60.0, 25.0]
    assert faces.backend.batches == [2]


def test_cropped_is_the_whole_picture(run, faces):
    plain, cropped = (run(faces, *flag, "--format", "csv", "a.png") for flag in ((), ("--cropped",)))
    assert plain.code == 0
    assert plain.out == cropped.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--face", "1,2,3", "a.png"], 2, "is not x1,y1,x2,y2"),
        (["--face", "1,2,x,4", "a.png"], 2, "is not x1,y1,x2,y2"),
        (["--face", "1,2,30,40", "a.png", "b.png"], 2, "belongs to one image"),
        (["--face", "1,2,30,40", "--cropped", "a.png"], 2, "Give one of them"),
        (["--face", "50,2,30,40", "a.png"], 3, "a.png: "),
        (["--face", "900,900,950,950", "a.png"], 3, "a.png: "),
    ],
)
def test_faces_that_make_no_sense(run, faces, arguments, code, message):
    done = run(faces, *arguments)
    assert done.code == code
    assert message in done.err


@pytest.mark.parametrize("flag", [["--face", "1,2,3,4"], ["--cropped"], ["--contour"], ["--numbers"]])
def test_options_of_faces_belong_to_faces(run, flag):
    hand = make(HAND, lambda rows: {"scores": np.full((len(rows), 15), 0.5, np.float32)}, HAND.labels)
    done = run(hand, *flag, "a.png")
    assert done.code == 2
    assert flag[0] in done.err


def rings(rows):
    """The points on a circle, as far apart as they can be."""
    angles = np.arange(68) * (2 * np.pi / 68)
    circle = 0.7 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return {"landmarks": circle[None].repeat(len(rows), axis=0).astype(np.float32)}


def test_contours_and_numbers_are_drawn(run):
    cv2.imwrite("a.png", scene(480, 480, 0))
    faces = make(FACES, rings)
    for name, flags in (("plain.png", []), ("contour.png", ["--contour"]), ("numbers.png", ["--numbers"])):
        assert run(faces, "--save", name, *flags, "a.png").code == 0
    plain, contour, numbers = (cv2.imread(name) for name in ("plain.png", "contour.png", "numbers.png"))
    assert (plain != numbers).any()
    assert (plain != contour).any()


@pytest.mark.parametrize("flag", [["--face", "1,2,3,4"], ["--cropped"], ["--contour"], ["--numbers"]])
def test_such_options_follow_the_spec_and_the_kind_not_a_name(run, faces, flag):
    assert run(faces, *flag, "a.png").code == 0


def emotions(rows):
    return {"logits": np.linspace(0, 1, 7, dtype=np.float32)[None].repeat(len(rows), axis=0)}


def test_chinese_names_are_printed_and_drawn_but_not_in_json(run):
    made = make(EMOTION, emotions, EMOTION.labels)
    done = run(made, "--lang", "zh", "--save", "zh.png", "a.png")
    assert done.code == 0
    assert "开心  0.2" in done.out
    run(made, "--save", "en.png", "a.png")
    assert (cv2.imread("zh.png") != cv2.imread("en.png")).any()
    (result,) = json.loads(run(made, "--lang", "zh", "--format", "json", "a.png").out)["results"]
    assert result["scores"][0]["label"] == "happy"


def test_without_a_font_pictures_are_in_english_and_that_is_told(run, monkeypatch):
    from cvport.runtimes.kinds import drawing

    monkeypatch.setattr(drawing, "chinese_font", lambda: None)
    made = make(EMOTION, emotions, EMOTION.labels)
    done = run(made, "--lang", "zh", "--save", "zh.png", "a.png")
    assert done.code == 0
    assert "pip install 'cvport[zh]'" in done.err
    run(made, "--save", "en.png", "a.png")
    assert (cv2.imread("zh.png") == cv2.imread("en.png")).all()


@pytest.mark.parametrize(("given", "batches"), [([], [2]), (["--batch-size", "1"], [1, 1])])
def test_pictures_are_run_together(run, given, batches):
    made = make(EMOTION, emotions, EMOTION.labels)
    done = run(made, *given, "--format", "jsonl", "a.png", "b.png")
    assert len(done.out.splitlines()) == 2
    assert made.backend.batches == batches


def test_unreadable_picture_does_not_stop_its_batch(run, tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    made = make(EMOTION, emotions, EMOTION.labels)
    done = run(made, "--format", "json", "a.png", "broken.png", "b.png")
    content = json.loads(done.out)
    assert done.code == 3
    assert [result["source"] for result in content["results"]] == ["a.png", "b.png"]
    assert [error["source"] for error in content["errors"]] == ["broken.png"]


def test_format_without_a_place_for_scores_is_refused_first(run):
    made = make(EMOTION, emotions, EMOTION.labels)
    assert run(made, "--format", "coco", "a.png").code == 2
    assert made.backend.batches == []


def test_settings_of_detectors_are_refused(image):
    made = make(EMOTION, emotions, EMOTION.labels)
    for changes, classes in (({"score_threshold": 0.5}, None), ({}, ["happy"])):
        with pytest.raises(UsageError, match="emotion has no setting"):
            made.adjust(changes, classes)
    with pytest.raises(UsageError, match="emotion has no setting score_threshold"):
        made(image, score_threshold=0.5)
    with pytest.raises(UsageError, match="emotion has no setting iou_threshold"):
        made.iou_threshold = 0.5
    with pytest.raises(AttributeError, match="emotion has no score_threshold"):
        made.score_threshold  # noqa: B018
