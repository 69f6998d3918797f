"""Detections against boxes: COCO's figures, and which class a category is."""

import contextlib
import io
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cvport import errors
from cvport.models.results import Detections
from cvport.runtimes.evaluate.base import Truth
from cvport.runtimes.evaluate.coco_file import TruthBox
from cvport.runtimes.evaluate.detections import EVALUATION, read, score
from cvport.runtimes.sources.base import Item


def found(*rows):
    """The detections of rows (x1, y1, x2, y2, score, class id)."""
    values = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        values[:, :4].astype(np.float32),
        values[:, 4].astype(np.float32),
        values[:, 5].astype(np.int64),
        tuple("x" for _ in values),
    )


def truth_of(images, labels=None):
    """The truth of images: boxes (x, y, w, h, class id, crowd) by name."""
    answers = {
        name: [TruthBox(row[4], tuple(row[:4]), row[2] * row[3], bool(row[5:] and row[5])) for row in rows]
        for name, rows in images.items()
    }
    return Truth([Item(name) for name in images], answers, labels or {0: "cat"})


def test_a_perfect_detector():
    truth = truth_of({"a": [(0, 0, 50, 50, 0)], "b": [(10, 10, 200, 200, 1)], "c": []}, {0: "cat", 1: "dog"})
    got = score(truth, {"a": found((0, 0, 50, 50, 0.9, 0)), "b": found((10, 10, 210, 210, 0.3, 1)), "c": found()})
    assert {got.figures[name] for name in ("map", "map_50", "map_75", "ar_1", "ar_10", "ar_100")} == {1.0}
    assert (got.figures["map_small"], got.figures["map_medium"], got.figures["map_large"]) == (None, 1.0, 1.0)
    assert (got.figures["ar_small"], got.figures["ar_medium"], got.figures["ar_large"]) == (None, 1.0, 1.0)
    assert got.rows == [
        {"label": "cat", "truth": 1, "ap": 1.0, "ap_50": 1.0, "ap_75": 1.0, "ar": 1.0},
        {"label": "dog", "truth": 1, "ap": 1.0, "ap_50": 1.0, "ap_75": 1.0, "ar": 1.0},
    ]
    assert list(got.figures) == [figure.name for figure in EVALUATION.figures]


def test_a_shifted_box_counts_up_to_its_overlap():
    """100x100 shifted by 20: IoU 80 / 120 = 0.667, so it is found at the limits 0.5, 0.55, 0.6 and 0.65 of ten."""
    got = score(truth_of({"a": [(0, 0, 100, 100, 0)]}), {"a": found((20, 0, 120, 100, 0.9, 0))})
    assert (got.figures["map"], got.figures["map_50"], got.figures["map_75"]) == (0.4, 1.0, 0.0)
    assert (got.figures["ar_100"], got.rows[0]["ar"]) == (0.4, 0.4)


def test_a_missing_box_and_false_positives():
    """Two boxes, one found by the second of three: precision 1/2 up to recall 0.5, that is at 51 of 101 points."""
    truth = truth_of({"a": [(0, 0, 100, 100, 0), (300, 300, 100, 100, 0)]})
    got = score(truth, {"a": found((600, 0, 700, 100, 0.9, 0), (0, 0, 100, 100, 0.8, 0), (0, 600, 100, 700, 0.7, 0))})
    assert got.figures["map"] == pytest.approx(51 / 101 / 2, abs=1e-6)
    assert (got.figures["ar_1"], got.figures["ar_10"]) == (0.0, 0.5)


def test_other_classes_crowds_and_images_without_result():
    truth = truth_of({"a": [(0, 0, 100, 100, 0), (200, 0, 100, 100, 0, True)], "b": [(0, 0, 9, 9, 0)]})
    rows = [(0, 0, 100, 100, 0.9, 0), (200, 0, 300, 100, 0.95, 0), (0, 0, 100, 100, 0.99, 5)]
    got = score(truth, {"a": found(*rows)})
    assert got.figures["map"] == 1.0, "b has no result, class 5 no truth, and a crowd is neither for nor against"
    assert got.rows[0]["truth"] == 1


def test_nothing_found_and_nothing_to_find():
    assert score(truth_of({"a": [(0, 0, 9, 9, 0)]}), {"a": found()}).figures["map"] == 0.0
    assert set(score(truth_of({"a": []}), {"a": found((0, 0, 9, 9, 0.9, 0))}).figures.values()) == {None}


@pytest.fixture
def crowded():
    """Twenty images of three classes with boxes of all sizes, and detections near them, wrong and missing."""
    rng = np.random.default_rng(0)
    images, results = {}, {}
    for number in range(20):
        rows, near = [], []
        for _ in range(rng.integers(0, 9)):
            x, y = rng.uniform(0, 400, 2)
            width, height = rng.uniform(4, 200, 2)
            kind = int(rng.integers(0, 3))
            rows.append((x, y, width, height, kind, rng.random() < 0.1))
            for _ in range(rng.integers(0, 4)):
                shift = rng.normal(0, 0.1, 4) * (width, height, width, height)
                corners = np.array([x, y, x + width, y + height]) + shift
                other = kind if rng.random() < 0.8 else int(rng.integers(0, 3))
                near.append((*corners[:2], *np.maximum(corners[2:], corners[:2] + 1), rng.random(), other))
        images[str(number)] = rows
        results[str(number)] = found(*sorted(near, key=lambda row: -row[4]))
    return truth_of(images, {0: "a", 1: "b", 2: "c"}), results


def test_figures_are_those_of_pycocotools(crowded):
    truth, results = crowded
    dataset, rows = COCO(), []
    dataset.dataset = {
        "images": [{"id": int(name)} for name in results],
        "categories": [{"id": number} for number in range(3)],
        "annotations": [],
    }
    for name, boxes in truth.answers.items():
        for box in boxes:
            entry = {"id": len(dataset.dataset["annotations"]) + 1, "image_id": int(name), "category_id": box.category}
            entry |= {"bbox": list(box.box), "area": box.area, "iscrowd": int(box.crowd)}
            dataset.dataset["annotations"].append(entry)
        for box, value, kind in zip(results[name].boxes, results[name].scores, results[name].class_ids, strict=True):
            corners = box.astype(float)
            sides = [*corners[:2], *(corners[2:] - corners[:2])]
            rows.append({"image_id": int(name), "category_id": int(kind), "bbox": sides, "score": float(value)})
    with contextlib.redirect_stdout(io.StringIO()):
        dataset.createIndex()
        metric = COCOeval(dataset, dataset.loadRes(rows), "bbox")
        metric.evaluate()
        metric.accumulate()
        metric.summarize()
    got = list(score(truth, results).figures.values())
    assert got == pytest.approx(metric.stats[:12].tolist(), abs=1e-6)
    assert 0.05 < got[0] < 0.95


def test_either_library_gives_the_same(crowded, monkeypatch):
    fast = score(*crowded)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    assert score(*crowded) == fast


def test_neither_library(request_for, write_coco, monkeypatch):
    path = write_coco({"a.png": [("cat", (0, 0, 5, 5))]}, ["cat"])
    for name in ("faster_coco_eval", "pycocotools.coco"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(errors.UsageError, match="neither is installed") as caught:
        read(request_for("yolox", ["cat"], ["."], annotations=path))
    assert caught.value.hint == "Install them: pip install 'cvport[eval]'"


# --- which class a category is


@pytest.fixture
def classes_of(request_for, write_coco, write_images, tmp_path):
    """``classes_of(categories, labels)``: the class id of a box of each category, and the notes."""

    def classes_of(names, labels, empty=(), **more):
        write_images("a.png")
        boxes = [(name, (number, 0, 5, 5)) for number, name in enumerate(names) if name not in empty]
        request = request_for("yolox", labels, [tmp_path], annotations=write_coco({"a.png": boxes}, names), **more)
        truth = read(request)
        (answers,) = truth.answers.values()
        return {names[int(box.box[0])]: box.category for box in answers}, list(truth.notes), truth.labels

    return classes_of


def test_by_name_in_any_case_and_order(classes_of):
    ids, notes, labels = classes_of(["Dog", "CAT"], ["cat", "dog"])
    assert (ids, notes, labels) == ({"Dog": 1, "CAT": 0}, [], {0: "cat", 1: "dog"})


def test_by_the_model_s_names_in_another_language(classes_of):
    assert classes_of(["人手"], ["hand"])[0] == {"人手": 0}


def test_by_order_is_told(classes_of):
    ids, notes, _ = classes_of(["Katze", "dog"], ["cat", "dog"])
    assert ids == {"Katze": 0, "dog": 1}
    assert notes == ["categories are taken for the model's classes in their order: Katze = cat, dog = dog"]


def test_a_parent_category_without_boxes_counts_for_nothing(classes_of):
    ids, notes, _ = classes_of(["things", "Katze", "Hund"], ["cat", "dog"], empty=("things",))
    assert ids == {"Katze": 0, "Hund": 1}
    assert notes[1:] == ["categories left out: things"]
    ids, notes, _ = classes_of(["things", "cat", "dog"], ["cat", "dog"], empty=("things",))
    assert (ids, notes) == ({"cat": 0, "dog": 1}, ["categories left out: things"])


@pytest.mark.parametrize(
    ("names", "labels", "hint"),
    [
        (["cat", "dgo", "bird"], ["cat", "dog"], "Did you mean 'dog'?"),
        (["dog", "Katze"], ["cat", "dog"], "Known: cat, dog."),
        (["Katze", "Hund"], ["cat"], "The model has one class: cat."),
    ],
    ids=["more than the model has", "the order contradicts a name", "one class"],
)
def test_unknown_categories(classes_of, names, labels, hint):
    with pytest.raises(errors.InputError, match="the model has no class for the categories") as caught:
        classes_of(names, labels)
    assert ("dgo, bird" if "dgo" in names else "Katze") in caught.value.message
    assert "cat," not in caught.value.message
    assert caught.value.hint.startswith(hint)
    assert "--classes" in caught.value.hint


def test_chosen_classes_alone(classes_of):
    ids, notes, labels = classes_of(["cat", "bird", "dog"], ["cat", "dog"], classes=[1])
    assert (ids, labels) == ({"dog": 1}, {1: "dog"})
    assert notes == ["categories left out: cat, bird"]
    with pytest.raises(errors.InputError, match="no box of the annotations is of the chosen classes"):
        classes_of(["bird"], ["cat", "dog", "fish"], classes=[1])


def test_classes_that_the_truth_lacks(classes_of):
    ids, notes, labels = classes_of(["dog"], ["cat", "dog"])
    assert (ids, labels) == ({"dog": 1}, {1: "dog"})
    assert notes == ["classes that the annotations lack, not evaluated: cat"]


# --- images


def test_images_are_found_skipped_and_missed(request_for, write_coco, write_images, tmp_path):
    write_images("set/a.png", "set/b.png", "set/more.png")
    path = write_coco({"a.png": [("cat", (0, 0, 5, 5))], "b.png": [], "gone.png": []}, ["cat"])
    truth = read(request_for("yolox", ["cat"], [tmp_path / "set", tmp_path / "no*.png"], annotations=path))
    assert [item.name for item in truth.items] == [str(tmp_path / "set/a.png"), str(tmp_path / "set/b.png")]
    assert truth.skipped == [str(tmp_path / "set/more.png")]
    assert [failure.source for failure in truth.failures] == [str(tmp_path / "no*.png"), "gone.png"]
    assert truth.missing == 1
    assert truth.boxes is None


def test_annotations_are_needed(request_for):
    with pytest.raises(errors.UsageError, match="needs boxes to compare them with") as caught:
        read(request_for("yolox", ["cat"], ["."]))
    assert "--annotations" in caught.value.hint
