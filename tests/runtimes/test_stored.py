"""Boxes that were found before stand in for a detector, whoever wrote them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from cvport import Chained, Classification, InputError
from cvport.runtimes import pipeline
from cvport.runtimes.chain import Chain, Stage
from cvport.runtimes.job import Timing
from cvport.runtimes.sources.base import Item, Items
from cvport.runtimes.stored import StoredBoxes

ROWS = [
    {"label": "face", "class_id": 0, "score": 0.5, "box": [1, 2, 30, 40]},
    {"label": "hand", "class_id": 1, "score": 0.9, "box": [5, 6, 70, 80]},
]
RESULT = {"source": "x/a.png", "width": 100, "height": 90, "detections": ROWS}
EMPTY = {"source": "b.png", "width": 100, "height": 90, "detections": []}


def ours(path):
    path.write_text(json.dumps({"schema_version": 1, "results": [RESULT, EMPTY], "errors": []}))


def lines(path):
    error = {"source": "c.png", "error": {"code": 3, "message": "no such file"}}
    path.write_text("".join(json.dumps(entry) + "\n" for entry in (RESULT, error, EMPTY)))


def coco(path):
    boxes = [
        {
            "id": n,
            "image_id": 7,
            "category_id": 3 + n,
            "score": row["score"],
            "bbox": [row["box"][0], row["box"][1], row["box"][2] - row["box"][0], row["box"][3] - row["box"][1]],
        }
        for n, row in enumerate(ROWS)
    ]
    names = [{"id": 3, "name": "face"}, {"id": 4, "name": "hand"}]
    path.write_text(
        json.dumps({"images": [{"id": 7, "file_name": "x/a.png"}], "annotations": boxes, "categories": names})
    )


def our_table(path):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "label", "class_id", "score", "x1", "y1", "x2", "y2"])
        writer.writerows(["x/a.png", row["label"], row["class_id"], row["score"], *row["box"]] for row in ROWS)


def supervision_rows(path):
    rows = [
        {
            **dict(zip(("x_min", "y_min", "x_max", "y_max"), row["box"], strict=True)),
            "class_id": row["class_id"],
            "confidence": row["score"],
            "tracker_id": "",
            "class_name": row["label"],
            "source": "x/a.png",
        }
        for row in ROWS
    ]
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


FORMS = [
    ("f.json", ours),
    ("f.jsonl", lines),
    ("truth.json", coco),
    ("f.csv", our_table),
    ("sv.json", supervision_rows),
    ("sv.csv", supervision_rows),
]


@pytest.mark.parametrize(("name", "write"), FORMS)
def test_every_form_gives_the_same(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    found = StoredBoxes(path).of(Item("other/place/a.png"))
    assert found.labels == ("hand", "face"), "best first"
    np.testing.assert_array_equal(found.boxes, [[5, 6, 70, 80], [1, 2, 30, 40]])
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert len(StoredBoxes(path).of(Item("b.png"))) == 0


def test_supervision_writes_what_is_read(tmp_path):
    sv = pytest.importorskip("supervision")
    path = tmp_path / "sv.csv"
    detections = sv.Detections(
        xyxy=np.array([[1, 2, 30, 40]], np.float32),
        confidence=np.array([0.5]),
        class_id=np.array([0]),
        data={"class_name": np.array(["face"])},
    )
    with sv.CSVSink(str(path)) as sink:
        sink.append(detections, {"source": "a.png"})
    found = StoredBoxes(path).of(Item("a.png"))
    assert (found.labels, found.boxes.tolist()) == (("face",), [[1, 2, 30, 40]])


class Emotion:
    spec = __import__("cvport").get_model("emotion")
    untrained, seal, assumed, labels = False, None, (), ("calm",)

    def predict_timed(self, images, *, face_boxes=None, on_error="raise"):
        return [Classification(np.ones(1, np.float32), ("calm",)) for _ in images], Timing(1, 2, 3)

    def lane(self):
        return self


def test_they_stand_where_a_detector_does(tmp_path):
    ours(tmp_path / "f.json")
    stored = StoredBoxes(tmp_path / "f.json")
    stored.backend = None
    got = []

    class Sink:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

        def write(self, prediction):
            got.append(prediction.result)

        def fail(self, failure):
            raise AssertionError(failure)

    items = [Item(name, np.zeros((90, 100, 3), np.uint8)) for name in ("x/a.png", "b.png", "unknown.png")]
    models = Chain([Stage(stored), Stage(Emotion())])
    pipeline.run(Items(items), models, [Sink()], workers=2, batch_size=2, face_boxes=stored.of)
    assert all(isinstance(result, Chained) for result in got)
    assert [len(result) for result in got] == [2, 0, 0]
    then = got[0].to_dict()["detections"][0]["then"]
    assert then == {"model": "emotion", "scores": [{"label": "calm", "score": 1.0}]}


def one_box(**changes):
    """Our JSON with one box, some of it changed."""
    row = {"label": "x", "score": 1, "box": [0, 0, 1, 1]} | changes
    return json.dumps({"results": [{"source": "a", "detections": [row]}]})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.json", "{", "cannot read the boxes"),
        ("f.json", "{}", "holds no boxes of a known form"),
        ("f.json", '{"results": [{"source": "a", "scores": []}]}', "holds no boxes of a known form"),
        ("f.csv", "a,b\n1,2\n", "holds no boxes of a known form"),
        ("f.json", '{"results": [{"source": "a", "detections": [{"label": "x", "score": 1, "box": [1, 2]}]}]}', "four"),
        ("gone.json", None, "no such file"),
        ("f.json", one_box(box=[0, 0, "1", 1]), "a box that is not four numbers"),
        ("f.json", one_box(box=[0, 0, 1, True]), "a box that is not four numbers"),
        ("f.json", one_box(box=[0, 0, 1, 10**400]), "a box that is not four numbers"),
        ("f.json", one_box(box=[0, 0, 1, float("nan")]), "a box that is not four numbers"),
        ("f.json", one_box(score=None), "a score that is no number"),
        ("f.json", one_box(score=float("inf")), "a score that is no number"),
        ("f.json", one_box(label=5), "a name is a int"),
        ("f.json", one_box(label="\ud800"), "a text that is no Unicode"),
        ("f.json", json.dumps([5]), "holds no boxes of a known form"),
        ("f.csv", "source,label,score,x1,y1,x2,y2\na,b,nan,0,0,1,1\n", "a score that is no number"),
        ("f.csv", "source,label,score,x1,y1,x2,y2\na,b,1,0\n", "holds no boxes of a known form"),
    ],
)
def test_files_that_hold_no_boxes(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        StoredBoxes(tmp_path / name)
