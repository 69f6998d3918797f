"""Classes against labels: where the labels come from, and the figures."""

import numpy as np
import pytest

from cvport import errors
from cvport.models.results import Classification
from cvport.runtimes.evaluate.base import Truth
from cvport.runtimes.evaluate.classes import EVALUATION, read, read_csv, score
from cvport.runtimes.sources.base import Item

LABELS = ("happy", "sad", "angry")


def chosen(number):
    scores = np.full(3, 0.1, np.float32)
    scores[number] = 0.8
    return Classification(scores, LABELS)


def score_of(*pairs):
    """The score of (true class, chosen class) of each image."""
    names = [str(number) for number in range(len(pairs))]
    truth = Truth(
        [Item(name) for name in names],
        {name: true for name, (true, _) in zip(names, pairs, strict=True)},
        dict(enumerate(LABELS)),
    )
    return score(truth, {name: chosen(best) for name, (_, best) in zip(names, pairs, strict=True)})


def test_figures_by_hand():
    got = score_of((0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (1, 2))
    assert got.more == {"confusion": [[2, 1, 0], [1, 1, 1], [0, 0, 0]]}
    assert got.figures == {
        "top_1": 0.5,
        "macro_precision": pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-6),
        "macro_recall": pytest.approx((2 / 3 + 1 / 3) / 2, abs=1e-6),
    }
    happy, sad, angry = got.rows
    assert happy == {
        "label": "happy",
        "truth": 3,
        "predicted": 3,
        "correct": 2,
        "precision": pytest.approx(2 / 3, abs=1e-6),
        "recall": pytest.approx(2 / 3, abs=1e-6),
    }
    assert (sad["precision"], sad["recall"]) == (0.5, pytest.approx(1 / 3, abs=1e-6))
    assert (angry["truth"], angry["precision"], angry["recall"]) == (0, 0.0, None)


def test_a_class_that_is_never_chosen_has_no_precision_and_counts_as_0():
    got = score_of((0, 0), (1, 0))
    assert got.rows[1]["precision"] is None
    assert got.figures == {"top_1": 0.5, "macro_precision": 0.25, "macro_recall": 0.5}


def test_perfect():
    assert set(score_of((0, 0), (1, 1), (2, 2)).figures.values()) == {1.0}


def test_confusion_as_text():
    assert EVALUATION.details(score_of((0, 0), (0, 1), (1, 1))) == [
        "confusion: the truth in rows, what was chosen in columns",
        "       happy  sad",
        "happy      1    1",
        "sad        0    1",
    ]


# --- labels from folders


def answers(truth):
    return {name.rpartition("/")[2]: number for name, number in truth.answers.items()}


def test_folders_are_labels(request_for, write_images, tmp_path):
    write_images("set/Happy/a.png", "set/sad/b.png", "set/sad/c.png", "set/.cache/d.png", "set/loose.png")
    truth = read(request_for("emotion", LABELS, [tmp_path / "set"]))
    assert answers(truth) == {"a.png": 0, "b.png": 1, "c.png": 1}
    assert list(truth.answers) == [item.name for item in truth.items]
    assert (truth.labels, truth.failures, truth.notes) == ({0: "happy", 1: "sad", 2: "angry"}, [], [])


def test_the_folder_of_a_class_can_be_given(request_for, write_images, tmp_path, monkeypatch):
    write_images("happy/a.png", "sad/b.png")
    monkeypatch.chdir(tmp_path)
    assert answers(read(request_for("emotion", LABELS, ["happy", "sad/*.png"]))) == {"a.png": 0, "b.png": 1}
    monkeypatch.chdir(tmp_path / "happy")
    assert answers(read(request_for("emotion", LABELS, ["."]))) == {"a.png": 0}


def test_an_empty_folder_of_a_class_is_a_failure(request_for, write_images, tmp_path):
    write_images("set/happy/a.png")
    (tmp_path / "set/sad").mkdir()
    truth = read(request_for("emotion", LABELS, [tmp_path / "set"]))
    assert answers(truth) == {"a.png": 0}
    assert [failure.source for failure in truth.failures] == [str(tmp_path / "set/sad")]


def test_a_folder_that_is_no_class(request_for, write_images, tmp_path):
    write_images("set/hapy/a.png", "set/hapy/b.png", "set/sad/c.png")
    with pytest.raises(errors.InputError, match=r"emotion has no class 'hapy' \(2 images\)") as caught:
        read(request_for("emotion", LABELS, [tmp_path / "set"]))
    assert caught.value.hint == "Did you mean 'happy'?"


def test_no_folder(request_for, tmp_path):
    with pytest.raises(errors.InputError, match="no images in the folder"):
        read(request_for("emotion", LABELS, [tmp_path]))
    with pytest.raises(errors.InputError, match="nothing matches"):
        read(request_for("emotion", LABELS, [tmp_path / "*.png"]))


# --- labels from a file


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a.png,happy\nb.png,sad\n", {"a.png": "happy", "b.png": "sad"}),
        ("\ufefffile,label\r\na.png, happy \r\n\r\n", {"a.png": "happy"}),
        ('"a,1.png","happy"\n', {"a,1.png": "happy"}),
        ("id,Class,Filename\n1,sad,a.png\n", {"a.png": "sad"}),
        ("a.png,happy,0.9\n", {"a.png": "happy"}),
    ],
)
def test_csv(tmp_path, text, labels):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    assert read_csv(tmp_path / "labels.csv") == labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "there are no labels in"),
        (b"file,label\n\n", "there are no labels in"),
        (b"a.png,happy\nb.png\n", "line 2 of .* has no file and label: 'b.png'"),
        (b"file,label\na.png,\n", "line 2 of .* has no file and label: 'a.png,'"),
        (b"a.png,happy\na.png,sad\n", "line 2 of .* names a.png again"),
        (b"\xff\xfea", "cannot read the labels"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.InputError, match=message):
        read_csv(path)


def test_a_file_names_images_among_the_sources(request_for, write_images, tmp_path):
    write_images("a.png", "b.png", "c.png")
    (tmp_path / "labels.csv").write_text("a.png,Sad\nb.png,2\ngone.png,happy\n")
    truth = read(request_for("emotion", LABELS, [tmp_path], annotations=tmp_path / "labels.csv"))
    assert answers(truth) == {"a.png": 1, "b.png": 2}
    assert [failure.source for failure in truth.failures] == ["gone.png"]
    assert (truth.missing, truth.skipped) == (1, [str(tmp_path / "c.png")])
    assert truth.notes == ["labels are taken for class numbers, from 0: 2 = angry"]


def test_a_file_with_labels_that_are_no_classes(request_for, write_images, tmp_path):
    write_images("a.png")
    (tmp_path / "labels.csv").write_text("a.png,glad\nb.png,3\nc.png,happy\n")
    with pytest.raises(errors.InputError, match=r"emotion has no class 'glad' \(1 image\), '3' \(1 image\)") as caught:
        read(request_for("emotion", LABELS, [tmp_path], annotations=tmp_path / "labels.csv"))
    assert "Known: angry, happy, sad." in caught.value.hint
