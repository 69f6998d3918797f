"""Which image an annotation means."""

import pytest

from cvport import errors
from cvport.runtimes.evaluate.matching import list_images, match, some
from cvport.runtimes.sources.base import Item, SourceOptions


def items(*names):
    return [Item(name) for name in names]


def pairs(matched):
    return {name: item.name for name, item in matched.items.items()}


def test_the_path_first_then_the_last_part():
    found = match(["x/1.png", "2.png", "val/3.png"], items("set/x/1.png", "set/y/1.png", "set/2.png", "other/3.png"))
    assert pairs(found) == {"x/1.png": "set/x/1.png", "2.png": "set/2.png", "val/3.png": "other/3.png"}
    assert found.skipped == ["set/y/1.png"]
    assert found.failures == []


def test_the_same_name_in_two_folders_is_told_apart_by_the_path():
    found = match(["x/1.png", "y/1.png"], items("/data/y/1.png", "/data/x/1.png"))
    assert pairs(found) == {"x/1.png": "/data/x/1.png", "y/1.png": "/data/y/1.png"}


def test_windows_paths_and_leading_dots():
    assert pairs(match([r"x\1.png", "./2.png"], items("x/1.png", "2.png"))) == {
        r"x\1.png": "x/1.png",
        "./2.png": "2.png",
    }


def test_what_is_annotated_and_not_there_is_a_failure():
    found = match(["1.png", "2.png"], items("1.png"))
    ((name, error),) = [(failure.source, failure.error) for failure in found.failures]
    assert (name, error.exit_code) == ("2.png", 3)
    assert "2.png is annotated and not among the sources" in error.message


@pytest.mark.parametrize(
    ("names", "images", "words"),
    [
        (["1.png"], ["x/1.png", "y/1.png"], ["1.png", "x/1.png", "y/1.png"]),
        (["train/1.png"], ["x/1.png", "y/1.png"], ["train/1.png", "x/1.png", "y/1.png"]),
        (["train/1.png", "val/1.png"], ["x/1.png"], ["x/1.png", "train/1.png", "val/1.png"]),
    ],
)
def test_what_may_mean_several_is_refused(names, images, words):
    with pytest.raises(errors.InputError, match="may mean") as caught:
        match(names, items(*images))
    assert all(word in caught.value.message for word in words)


def test_two_names_of_the_same_image():
    with pytest.raises(errors.InputError, match=r"1.png and ./1.png of the annotations mean the same image"):
        match(["1.png", "./1.png"], items("1.png"))


def test_no_image_at_all():
    with pytest.raises(errors.InputError, match="none of 2 annotated images is among 1 image") as caught:
        match(["1.png", "2.png"], items("x/3.png"))
    assert "'1.png'" in caught.value.hint
    assert "'x/3.png'" in caught.value.hint


def test_a_key_says_what_is_compared():
    found = match(["1.pts"], items("x/1.jpg", "x/2.jpg"), lambda name: name.rpartition(".")[0])
    assert pairs(found) == {"1.pts": "x/1.jpg"}
    assert found.skipped == ["x/2.jpg"]


def test_images_are_listed_once_and_not_read(write_images, tmp_path):
    (path,) = write_images("a.png")
    (tmp_path / "b.png").write_text("no picture")
    found = list_images([str(tmp_path), str(path), "gone/*.png"], SourceOptions())
    assert [item.name for item in found.items] == [str(path), str(tmp_path / "b.png")]
    assert [failure.source for failure in found.failures] == ["gone/*.png"]
    assert found.notes == ["1 image given more than once, evaluated once"]


def test_frames_have_no_truth(monkeypatch):
    frames = [Item("clip.mp4", frame=0, time_s=0.0)]
    monkeypatch.setattr("cvport.runtimes.evaluate.matching.open_sources", lambda _words, _options: frames)
    with pytest.raises(errors.UsageError, match=r"clip.mp4 gives frames"):
        list_images(["clip.mp4"], SourceOptions())


def test_some():
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e, ..."
