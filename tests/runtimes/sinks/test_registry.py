"""Results as text: every format holds the exact values."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from cvport import Classification, Detections, InputError, Landmarks, UsageError, get_model
from cvport.runtimes.job import Timing
from cvport.runtimes.sinks.base import Failure, Prediction, RunInfo
from cvport.runtimes.sinks.registry import FORMATS, open_format
from cvport.runtimes.versions import library_versions

TWO = Detections(
    boxes=np.array([[1.25, 2.5, 30.0625, 40], [0, 0, 7.0004, 8]], np.float32),
    scores=np.array([0.875, 0.12345678], np.float32),
    class_ids=np.array([1, 0], np.int64),
    labels=("left, hand", "手"),
)
NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())
ERROR = {"source": "c.jpg", "code": 3, "message": "no such file: c.jpg"}
YOLOX, FACES68, EMOTION = (get_model(name) for name in ("yolox", "landmarks68", "emotion"))
INFO = RunInfo(YOLOX, "onnx", "cpu", labels=("手", "left, hand"))
IMAGE = np.zeros((1, 1, 3), np.uint8)
TEXTS = [name for name, entry in FORMATS.items() if not entry.in_folder]


def predicted(source, width, height, result, *timing, **more):
    return Prediction(source, width, height, result, Timing(*timing), IMAGE, **more)


PREDICTIONS = (
    predicted("photos/a.jpg", 64, 48, TWO, 0.12345, 12.5, 1.0),
    predicted('b "b".png', 5, 6, NONE, 1, 2, 3),
)
FAILURE = Failure("c.jpg", InputError("no such file: c.jpg", "Check the path."))


def text(form, answers=(*PREDICTIONS, FAILURE), info=INFO, **changes):
    """What a run writes in a format."""
    out = io.StringIO()
    with open_format(form, replace(info, **changes), out) as sink:
        for answer in answers:
            (sink.fail if isinstance(answer, Failure) else sink.write)(answer)
    return out.getvalue()


def test_json_is_the_schema():
    assert json.loads(text("json")) == {
        "schema_version": 1,
        "model": "yolox",
        "backend": "onnx",
        "device": "cpu",
        "versions": library_versions(),
        "results": [
            {
                "source": "photos/a.jpg",
                "width": 64,
                "height": 48,
                "detections": [
                    {"label": "left, hand", "class_id": 1, "score": 0.875, "box": [1.25, 2.5, 30.062, 40.0]},
                    {"label": "手", "class_id": 0, "score": 0.123457, "box": [0.0, 0.0, 7.0, 8.0]},
                ],
                "timing_ms": {"preprocess": 0.123, "network": 12.5, "postprocess": 1.0},
            },
            {
                "source": 'b "b".png',
                "width": 5,
                "height": 6,
                "detections": [],
                "timing_ms": {"preprocess": 1, "network": 2, "postprocess": 3},
            },
        ],
        "errors": [ERROR],
    }


def test_json_types():
    first, _ = json.loads(text("json"))["results"]
    detections = first["detections"]
    assert [type(value) for value in detections[0]["box"]] == [float] * 4
    assert type(detections[0]["score"]) is float
    assert type(detections[0]["class_id"]) is int
    assert type(first["width"]) is int


@pytest.mark.parametrize("answers", [(), PREDICTIONS[:1], PREDICTIONS, (FAILURE,), (FAILURE, *PREDICTIONS, FAILURE)])
@pytest.mark.parametrize("changes", [{}, {"untrained": True, "settings": {"precision": "strict", "手": [1]}}])
def test_json_is_the_text_of_the_whole_document(answers, changes):
    written = text("json", answers, **changes)
    assert written == json.dumps(json.loads(written), indent=2, ensure_ascii=False) + "\n"


def test_json_of_nothing():
    content = json.loads(text("json", (), backend="torch", device="cuda:0"))
    assert content == {
        "schema_version": 1,
        "model": "yolox",
        "backend": "torch",
        "device": "cuda:0",
        "versions": library_versions(),
        "results": [],
        "errors": [],
    }


def test_line_breaks_of_unicode_stay_in_their_strings():
    odd = predicted("a\u2028b\x85c\nd.jpg", 1, 1, NONE, 1, 2, 3)
    assert json.loads(text("json", [odd]))["results"][0]["source"] == odd.source
    assert json.loads(text("jsonl", [odd]).rstrip("\n"))["source"] == odd.source


def test_untrained_is_told():
    assert json.loads(text("json", untrained=True))["untrained"] is True
    assert all("untrained" in line for line in text("table", untrained=True).splitlines() if "ms on" in line)
    assert "untrained" not in text("table")


def test_settings_of_a_device_are_in_the_json():
    assert json.loads(text("json", settings={"precision": "fp16"}))["settings"] == {"precision": "fp16"}


def test_jsonl_has_a_line_per_item_in_order():
    lines = text("jsonl", (PREDICTIONS[0], FAILURE, PREDICTIONS[1])).splitlines()
    first, second = json.loads(text("json"))["results"]
    error = {"source": "c.jpg", "error": {"code": 3, "message": "no such file: c.jpg"}}
    assert [json.loads(line) for line in lines] == [first, error, second]


def test_warm_up_and_place_in_a_video_are_told():
    frame = predicted("a.mp4", 1, 1, NONE, 1, 2, 3, True, frame=50, time_s=2.0)
    (content,) = json.loads(text("json", [frame]))["results"]
    assert content == {
        "source": "a.mp4",
        "frame": 50,
        "time_s": 2.0,
        "width": 1,
        "height": 1,
        "detections": [],
        "timing_ms": {"preprocess": 1, "network": 2, "postprocess": 3},
        "warmup": True,
    }
    lost = Failure("a.mp4", InputError("cut short"), frame=51, time_s=2.04)
    assert json.loads(text("jsonl", [lost])) == {
        "source": "a.mp4",
        "frame": 51,
        "time_s": 2.04,
        "error": {"code": 3, "message": "cut short"},
    }


@pytest.mark.parametrize(("form", "first"), [("table", "photos"), ("jsonl", "{"), ("csv", "source,"), ("json", "{")])
def test_each_result_is_written_and_flushed_when_it_is_made(form, first):
    class Out(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed = len(self.getvalue())

    out = Out()
    with open_format(form, INFO, out) as sink:
        assert out.getvalue() == ""
        sink.write(PREDICTIONS[0])
        assert "left, hand" in out.getvalue()
        assert out.getvalue().startswith(first)
        assert out.flushed == len(out.getvalue())
        before = out.getvalue()
        sink.write(PREDICTIONS[1])
        assert out.getvalue().startswith(before)
        assert (len(out.getvalue()) > len(before)) == (form != "csv"), "nothing found is no row in CSV"
        assert out.flushed == len(out.getvalue())


@pytest.mark.parametrize("form", TEXTS)
def test_run_that_breaks_before_its_first_result_writes_nothing(form):
    out = io.StringIO()
    with pytest.raises(ZeroDivisionError), open_format(form, INFO, out):
        raise ZeroDivisionError
    assert out.getvalue() == ""


def break_after_one(form, out, error):
    with open_format(form, INFO, out) as sink:
        sink.write(PREDICTIONS[0])
        raise error


@pytest.mark.parametrize("form", TEXTS)
def test_run_that_breaks_later_leaves_a_whole_document(form):
    out = io.StringIO()
    with pytest.raises(ZeroDivisionError):
        break_after_one(form, out, ZeroDivisionError())
    assert out.getvalue() == text(form, PREDICTIONS[:1])


class Breaking(io.StringIO):
    """A stream that raises, at each piece, the next of some errors; None takes the piece."""

    def __init__(self, *raised):
        super().__init__()
        self.raised = list(raised)

    def write(self, text):
        error = self.raised.pop(0) if self.raised else None
        if error is not None:
            raise error
        return super().write(text)


def test_nothing_more_is_written_to_a_reader_that_has_gone():
    out = Breaking(None, BrokenPipeError(32, "Broken pipe"))
    with open_format("json", INFO, out) as sink:
        sink.write(PREDICTIONS[0])
        with pytest.raises(BrokenPipeError):
            sink.write(PREDICTIONS[1])
    assert text("json", PREDICTIONS[:1]).startswith(out.getvalue())
    assert out.getvalue().endswith("\n    }")


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_document_has_its_head_though_its_first_piece_could_not_be_written(form):
    out = Breaking(OSError(28, "No space left on device"))
    with open_format(form, INFO, out) as sink:
        with pytest.raises(InputError, match="standard output: No space left on device"):
            sink.write(PREDICTIONS[1])
        sink.write(PREDICTIONS[0])
    assert out.getvalue() == text(form, PREDICTIONS[:1])


def test_csv():
    rows = list(csv.reader(io.StringIO(text("csv"))))
    assert rows == [
        ["source", "label", "class_id", "score", "x1", "y1", "x2", "y2"],
        ["photos/a.jpg", "left, hand", "1", "0.875", "1.25", "2.5", "30.062", "40.0"],
        ["photos/a.jpg", "手", "0", "0.123457", "0.0", "0.0", "7.0", "8.0"],
    ]


def test_coco():
    content = json.loads(text("coco"))
    assert content == {
        "images": [
            {"id": 1, "file_name": "photos/a.jpg", "width": 64, "height": 48},
            {"id": 2, "file_name": 'b "b".png', "width": 5, "height": 6},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [1.25, 2.5, 28.812, 37.5],
                "area": 1080.45,
                "iscrowd": 0,
                "score": 0.875,
            },
            {
                "id": 2,
                "image_id": 1,
                "category_id": 0,
                "bbox": [0.0, 0.0, 7.0, 8.0],
                "area": 56.0,
                "iscrowd": 0,
                "score": 0.123457,
            },
        ],
        "categories": [{"id": 0, "name": "手"}, {"id": 1, "name": "left, hand"}],
    }


def test_table():
    assert text("table").splitlines() == [
        "photos/a.jpg  64x48  2 detections  0.1 + 12.5 + 1.0 ms on onnx cpu",
        "  left, hand  0.875      1.2      2.5     30.1     40.0",
        "  手          0.123      0.0      0.0      7.0      8.0",
        'b "b".png  5x6  0 detections  1.0 + 2.0 + 3.0 ms on onnx cpu',
    ]


def test_table_of_one_detection():
    assert "  1 detection  " in text("table", [predicted("a.jpg", 1, 1, TWO[0], 1, 1, 1)])


@pytest.mark.parametrize("form", TEXTS)
def test_text_is_written_as_it_is(form):
    assert "手" in text(form)


# --- other kinds of results

POINTS = np.stack(
    [np.arange(136, dtype=np.float32).reshape(68, 2), np.arange(136, dtype=np.float32)[::-1].reshape(68, 2)]
)
FACES = Landmarks(POINTS / 2, np.array([[1, 2, 30, 40], [5, 6, 7, 8.5]], np.float32))
FACE = Landmarks(POINTS[:1] / 2)
SCORES = Classification(np.array([0.25, 0.125, 0.625], np.float32), ("sad", "happy", "忧"))


def text_of(form, spec, result, **changes):
    return text(form, [predicted("a.jpg", 640, 480, result, 1, 2, 3)], RunInfo(spec, "onnx", "cpu"), **changes)


def test_json_of_faces():
    (content,) = json.loads(text_of("json", FACES68, FACES))["results"]
    assert [face["box"] for face in content["faces"]] == [[1, 2, 30, 40], [5, 6, 7, 8.5]]
    assert content["faces"][0]["landmarks"] == [[i, i + 0.5] for i in range(68)]
    (content,) = json.loads(text_of("json", FACES68, FACE))["results"]
    assert [face["box"] for face in content["faces"]] == [None]


def test_json_of_scores_is_best_first():
    (content,) = json.loads(text_of("json", EMOTION, SCORES))["results"]
    assert content["scores"] == [
        {"label": "忧", "score": 0.625},
        {"label": "sad", "score": 0.25},
        {"label": "happy", "score": 0.125},
    ]


def test_csv_of_faces_has_a_line_a_point():
    rows = list(csv.reader(io.StringIO(text_of("csv", FACES68, FACES))))
    assert rows[0] == ["source", "face", "point", "x", "y"]
    assert len(rows) == 1 + 2 * 68
    assert rows[1 + 68 + 3] == ["a.jpg", "1", "3", "64.5", "64.0"]


def test_csv_of_scores():
    rows = list(csv.reader(io.StringIO(text_of("csv", EMOTION, SCORES))))
    assert rows[0] == ["source", "rank", "label", "score"]
    assert rows[1:3] == [["a.jpg", "1", "忧", "0.625"], ["a.jpg", "2", "sad", "0.25"]]


def test_coco_of_faces_holds_keypoints():
    content = json.loads(text_of("coco", FACES68, FACES))
    first, second = content["annotations"]
    assert first["keypoints"][:6] == [0, 0.5, 2, 1, 1.5, 2]
    assert (first["num_keypoints"], first["bbox"]) == (68, [1, 2, 29, 38])
    assert (second["id"], second["image_id"], second["area"]) == (2, 1, 5.0)
    assert len(content["categories"][0]["keypoints"]) == 68
    (whole,) = json.loads(text_of("coco", FACES68, FACE))["annotations"]
    assert whole["bbox"] == [0, 0.5, 67, 67]  # around the points


def test_coco_holds_no_scores():
    with pytest.raises(UsageError, match="COCO has no form for classes") as caught:
        open_format("coco", RunInfo(EMOTION, "onnx", "cpu"), io.StringIO())
    assert "jsonl" in caught.value.hint
    for form in TEXTS:
        open_format(form, INFO, io.StringIO())
        open_format(form, RunInfo(FACES68, "onnx", "cpu"), io.StringIO())


def test_table_of_faces():
    text = text_of("table", FACES68, FACES)
    assert "a.jpg  640x480  2 faces  1.0 + 2.0 + 3.0 ms on onnx cpu" in text
    assert "face 0  68 points in      0.0      0.5     67.0     67.5" in text


def test_table_of_scores_in_another_language():
    names = {"sad": "悲伤", "happy": "开心"}
    lines = text_of("table", EMOTION, SCORES, names=names).splitlines()
    # Chinese characters are two columns wide.
    assert lines[1:] == ["  忧    0.625", "  悲伤  0.250", "  开心  0.125"]
    assert "640x480  忧  1.0" in lines[0]
