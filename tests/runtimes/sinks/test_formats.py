"""Results as text: every format holds the exact values."""

import csv
import io
import json

import numpy as np
import pytest
from cvport import Classification, Detections, Landmarks, UsageError
from cvport.runtimes.predictor import Timing
from cvport.runtimes.sinks.formats import FORMATS, Prediction, Run, check_format

TWO = Detections(
    boxes=np.array([[1.25, 2.5, 30.0625, 40], [0, 0, 7.0004, 8]], np.float32),
    scores=np.array([0.875, 0.12345678], np.float32),
    class_ids=np.array([1, 0], np.int64),
    labels=("left, hand", "手"),
)
NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ())
ERROR = {"source": "c.jpg", "code": 3, "message": "no such file: c.jpg"}


def make_run(*, untrained=False, errors=(ERROR,)):
    predictions = [
        Prediction("photos/a.jpg", 64, 48, TWO, Timing(0.12345, 12.5, 1.0)),
        Prediction('b "b".png', 5, 6, NONE, Timing(1, 2, 3)),
    ]
    return Run(
        "yolox",
        "detections",
        "onnx",
        "cpu",
        untrained,
        ("手", "left, hand"),
        predictions=predictions,
        errors=list(errors),
    )


def test_json_is_the_schema():
    assert json.loads(FORMATS["json"](make_run())) == {
        "schema_version": 1,
        "model": "yolox",
        "backend": "onnx",
        "device": "cpu",
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
    first, _ = json.loads(FORMATS["json"](make_run()))["results"]
    detections = first["detections"]
    assert [type(value) for value in detections[0]["box"]] == [float] * 4
    assert type(detections[0]["score"]) is float
    assert type(detections[0]["class_id"]) is int
    assert type(first["width"]) is int


def test_json_of_nothing():
    content = json.loads(FORMATS["json"](Run("yolox", "detections", "torch", "cuda:0", untrained=False, labels=())))
    assert content == {
        "schema_version": 1,
        "model": "yolox",
        "backend": "torch",
        "device": "cuda:0",
        "results": [],
        "errors": [],
    }


def test_untrained_is_told():
    assert json.loads(FORMATS["json"](make_run(untrained=True)))["untrained"] is True
    assert all(
        "untrained" in line for line in FORMATS["table"](make_run(untrained=True)).splitlines() if "ms on" in line
    )
    assert "untrained" not in FORMATS["table"](make_run())


def test_jsonl_has_a_line_a_picture_then_one_an_error():
    lines = FORMATS["jsonl"](make_run()).splitlines()
    content = json.loads(FORMATS["json"](make_run()))
    assert [json.loads(line) for line in lines] == [*content["results"], ERROR]


def test_csv():
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](make_run()))))
    assert rows == [
        ["source", "label", "class_id", "score", "x1", "y1", "x2", "y2"],
        ["photos/a.jpg", "left, hand", "1", "0.875", "1.25", "2.5", "30.062", "40.0"],
        ["photos/a.jpg", "手", "0", "0.123457", "0.0", "0.0", "7.0", "8.0"],
    ]


def test_coco():
    content = json.loads(FORMATS["coco"](make_run()))
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
    assert FORMATS["table"](make_run()).splitlines() == [
        "photos/a.jpg  64x48  2 detections  0.1 + 12.5 + 1.0 ms on onnx cpu",
        "  left, hand  0.875      1.2      2.5     30.1     40.0",
        "  手          0.123      0.0      0.0      7.0      8.0",
        'b "b".png  5x6  0 detections  1.0 + 2.0 + 3.0 ms on onnx cpu',
    ]


def test_table_of_one_detection():
    one = Detections(TWO.boxes[:1], TWO.scores[:1], TWO.class_ids[:1], TWO.labels[:1])
    run = Run(
        "yolox", "detections", "onnx", "cpu", False, (), predictions=[Prediction("a.jpg", 1, 1, one, Timing(1, 1, 1))]
    )
    assert "  1 detection  " in FORMATS["table"](run)


@pytest.mark.parametrize("form", FORMATS)
def test_text_is_written_as_it_is(form):
    assert "手" in FORMATS[form](make_run())


# --- other kinds of results

POINTS = np.stack(
    [np.arange(136, dtype=np.float32).reshape(68, 2), np.arange(136, dtype=np.float32)[::-1].reshape(68, 2)]
)
FACES = Landmarks(POINTS / 2, np.array([[1, 2, 30, 40], [5, 6, 7, 8.5]], np.float32))
FACE = Landmarks(POINTS[:1] / 2)
SCORES = Classification(np.array([0.25, 0.125, 0.625], np.float32), ("sad", "happy", "忧"))


def run_of(kind, result, **more):
    predictions = [Prediction("a.jpg", 640, 480, result, Timing(1, 2, 3))]
    return Run("some", kind, "onnx", "cpu", False, getattr(result, "labels", ()), predictions=predictions, **more)


def test_json_of_faces():
    (content,) = json.loads(FORMATS["json"](run_of("faces", FACES)))["results"]
    assert [face["box"] for face in content["faces"]] == [[1, 2, 30, 40], [5, 6, 7, 8.5]]
    assert content["faces"][0]["landmarks"] == [[i, i + 0.5] for i in range(68)]
    (content,) = json.loads(FORMATS["json"](run_of("faces", FACE)))["results"]
    assert [face["box"] for face in content["faces"]] == [None]


def test_json_of_scores_is_best_first():
    (content,) = json.loads(FORMATS["json"](run_of("scores", SCORES)))["results"]
    assert content["scores"] == [
        {"label": "忧", "score": 0.625},
        {"label": "sad", "score": 0.25},
        {"label": "happy", "score": 0.125},
    ]


def test_csv_of_faces_has_a_line_a_point():
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](run_of("faces", FACES)))))
    assert rows[0] == ["source", "face", "point", "x", "y"]
    assert len(rows) == 1 + 2 * 68
    assert rows[1 + 68 + 3] == ["a.jpg", "1", "3", "64.5", "64.0"]


def test_csv_of_scores():
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](run_of("scores", SCORES)))))
    assert rows[0] == ["source", "rank", "label", "score"]
    assert rows[1:3] == [["a.jpg", "1", "忧", "0.625"], ["a.jpg", "2", "sad", "0.25"]]


def test_coco_of_faces_holds_keypoints():
    content = json.loads(FORMATS["coco"](run_of("faces", FACES)))
    first, second = content["annotations"]
    assert first["keypoints"][:6] == [0, 0.5, 2, 1, 1.5, 2]
    assert (first["num_keypoints"], first["bbox"]) == (68, [1, 2, 29, 38])
    assert (second["id"], second["image_id"], second["area"]) == (2, 1, 5.0)
    assert len(content["categories"][0]["keypoints"]) == 68
    (whole,) = json.loads(FORMATS["coco"](run_of("faces", FACE)))["annotations"]
    assert whole["bbox"] == [0, 0.5, 67, 67]  # around the points


def test_coco_holds_no_scores():
    with pytest.raises(UsageError, match="no scores of classes"):
        check_format("coco", "scores")
    for form in FORMATS:
        check_format(form, "detections")
        check_format(form, "faces")


def test_table_of_faces():
    text = FORMATS["table"](run_of("faces", FACES))
    assert "a.jpg  640x480  2 faces  1.0 + 2.0 + 3.0 ms on onnx cpu" in text
    assert "face 0  68 points in      0.0      0.5     67.0     67.5" in text


def test_table_of_scores_in_another_language():
    names = {"sad": "悲伤", "happy": "开心"}
    lines = FORMATS["table"](run_of("scores", SCORES, names=names)).splitlines()
    # Chinese characters are two columns wide.
    assert lines[1:] == ["  忧    0.625", "  悲伤  0.250", "  开心  0.125"]
    assert "640x480  忧  1.0" in lines[0]
