"""Results that were stored, and what is said of files that hold others."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cvport import Classification, Detections, Landmarks, get_model
from cvport.errors import InputError
from cvport.runtimes.kinds.registry import get_kind
from cvport.runtimes.parity.stored import StoredResults
from cvport.runtimes.sources.base import Item

YOLOX = get_model("yolox")
ROW = {"label": "cat", "class_id": 1, "score": 0.5, "box": [1.0, 2.0, 3.0, 4.0]}
CONTENT = {
    "model": "yolox",
    "backend": "onnx",
    "versions": {"opencv": "4.13.0"},
    "results": [{"source": "photos/a.jpg", "detections": [ROW]}, {"source": "b.jpg", "detections": []}],
    "errors": [{"source": "c.jpg", "code": 3, "message": "it is damaged"}],
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_json_of_ours(tmp_path):
    stored = StoredResults(write(tmp_path / "r.json", CONTENT), YOLOX, ["dog", "cat"])
    assert stored.made_with == {"model": "yolox", "backend": "onnx", "opencv": "4.13.0"}
    found = stored.of(Item("elsewhere/a.jpg"))
    assert (found.labels, found.boxes.tolist(), found.class_ids.tolist()) == (("cat",), [[1, 2, 3, 4]], [1])
    assert len(stored.of(Item("b.jpg"))) == 0
    with pytest.raises(InputError, match=r"no result of c\.jpg: it is damaged"):
        stored.of(Item("c.jpg"))
    with pytest.raises(InputError, match=r"d\.jpg is not among the results"):
        stored.of(Item("d.jpg"))


def test_lines_of_ours(tmp_path):
    lines = "\n".join(json.dumps(row) for row in CONTENT["results"])
    stored = StoredResults(write(tmp_path / "r.jsonl", lines + "\n"), YOLOX, [])
    assert len(stored.of(Item("photos/a.jpg"))) == 1


def test_coco_of_others(tmp_path):
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 2, 2], "score": 0.5}],
    }
    stored = StoredResults(write(tmp_path / "coco.json", content), YOLOX, [])
    assert stored.of(Item("a.jpg")).boxes.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(InputError, match="not among"):
        stored.of(Item("b.jpg"))


RESULTS = {
    "yolox": Detections(
        np.array([[1, 2, 30, 40], [5, 6, 7, 8]], np.float32),
        np.array([0.9, 0.25], np.float32),
        np.array([0, 2], np.int64),
        ("a", "c"),
    ),
    "landmarks68": Landmarks(np.random.default_rng(0).uniform(0, 100, (2, 68, 2)).astype(np.float32)),
    "emotion": Classification(np.array([0.2, 0.7, 0.1], np.float32), ("sad", "happy", "angry")),
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_kind_reads_what_it_writes(name):
    spec, result = get_model(name), RESULTS[name]
    kind = get_kind(spec.kind)
    again = kind.read(result.to_dict(), spec, getattr(result, "labels", ()))
    assert again.to_dict() == result.to_dict()
    assert kind.judge(kind.measure(result, again), kind.usual).verdict == "passed"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "no such file"),
        ("broken.json", "{", "cannot read"),
        ("list.json", [{"detections": []}], "no boxes of a known form"),
        ("sourceless.jsonl", '{"detections": []}\n', "without its source"),
        ("other.json", {"something": 1}, "no boxes of a known form"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        write(path, content)
    with pytest.raises(InputError, match=message):
        StoredResults(path, YOLOX, [])


def test_results_of_another_kind_are_refused(tmp_path):
    path = write(tmp_path / "r.json", {"results": [{"source": "a.jpg", "scores": []}]})
    with pytest.raises(InputError, match="holds no detections"):
        StoredResults(path, YOLOX, []).of(Item("a.jpg"))
    with pytest.raises(InputError, match="no results of cvrun"):
        StoredResults(write(tmp_path / "x.json", []), get_model("emotion"), [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"results": 5}, "holds no list of results"),
        ({"errors": 5}, "holds no list of results"),
        ({"results": [], "errors": [{"source": "a.png"}]}, "has no result of a.png"),
        ({"results": [{"source": "a.png", "error": "gone"}]}, "has no result of a.png: gone"),
        ({"results": [{"source": "a.png", "detections": [{**ROW, "score": float("nan")}]}]}, "is not finite"),
        ({"results": [{"source": "a.png", "detections": [{**ROW, "box": [0, 0, 1, 1e300]}]}]}, "is not finite"),
        ({"results": [{"source": "a.png", "detections": [{**ROW, "class_id": 1e300}]}]}, "holds no detections"),
        ({"results": [{"source": "a.png", "detections": [{**ROW, "class_id": 10**400}]}]}, "holds no detections"),
        ({"results": [{"source": "a.png", "detections": [{**ROW, "label": "\ud800"}]}]}, "no Unicode"),
        ({"results": [{"source": "a.png", "detections": {"a": 1}}]}, "holds no detections"),
    ],
)
def test_results_that_mean_nothing(tmp_path, changes, message):
    path = write(tmp_path / "r.json", {**CONTENT, **changes})
    with pytest.raises(InputError, match=message):
        StoredResults(path, YOLOX, ("cat",)).of(Item("a.png"))


def test_lines_end_with_a_line_feed_alone(tmp_path):
    rows = [{"source": f"a{mark}b.png", "detections": [ROW]} for mark in "\u2028\u0085"]
    path = write(tmp_path / "r.jsonl", "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    for row in rows:
        assert StoredResults(path, YOLOX, ("cat",)).of(Item(row["source"])).labels == ("cat",)
