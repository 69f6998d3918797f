"""Words become files in a known order, and files become items one at a time."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvport.errors import InputError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.sources import files
from cvport.runtimes.sources.base import SourceOptions
from cvport.runtimes.sources.files import FileSource, find_images
from cvport.runtimes.sources.images import SUFFIXES, read_image


@pytest.fixture
def tree(tmp_path, monkeypatch):
    names = ["b.jpg", "a.PNG", "notes.txt", "c.jpeg", "sub/d.jpg", "sub/deep/e.webp", "sub/deep/f.txt", "none/g.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(found: list[Path]) -> list[str]:
    return [path.as_posix() for path in found]


def test_files_are_taken_as_they_are_named_in_the_given_order(tree):
    found, errors = find_images(["sub/d.jpg", "notes.txt", "gone.jpg", "b.jpg", "b.jpg"])
    assert names(found) == ["sub/d.jpg", "notes.txt", "gone.jpg", "b.jpg", "b.jpg"]
    assert errors == []


def test_folder_gives_its_own_pictures_sorted(tree):
    found, errors = find_images([str(tree)])
    assert names(found) == [f"{tree.as_posix()}/{name}" for name in ("a.PNG", "b.jpg", "c.jpeg")]
    assert errors == []
    assert names(find_images(["."])[0]) == ["a.PNG", "b.jpg", "c.jpeg"]


def test_folder_takes_every_known_ending(tmp_path):
    for suffix in SUFFIXES:
        (tmp_path / f"a{suffix}").touch()
    found, _ = find_images([str(tmp_path)])
    assert {path.suffix for path in found} == SUFFIXES
    assert {".jpg", ".png", ".webp", ".bmp", ".tif"} <= SUFFIXES


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b.jpg"]),
        ("*.jp*g", ["b.jpg", "c.jpeg"]),
        ("?.jpg", ["b.jpg"]),
        ("[ac].*", ["a.PNG", "c.jpeg"]),
        ("sub/*", ["sub/d.jpg"]),
        ("**/*.jpg", ["b.jpg", "sub/d.jpg"]),
        ("sub/**/*.webp", ["sub/deep/e.webp"]),
        ("./sub/../*.jpg", ["sub/../b.jpg"]),
    ],
)
def test_patterns(tree, pattern, expected):
    assert (names(find_images([pattern])[0]), find_images([pattern])[1]) == (expected, [])
    found, errors = find_images([f"{tree.as_posix()}/{pattern}"])
    assert [os.path.normpath(path) for path in found] == [os.path.normpath(tree / name) for name in expected]
    assert errors == []


def test_folder_without_pictures(tree):
    found, ((source, error),) = find_images(["none", "b.jpg"])
    assert names(found) == ["b.jpg"]
    assert (source, error.message) == ("none", "no images in the folder none")
    assert ".jpg" in error.hint


def test_pattern_that_matches_nothing(tree):
    found, ((source, error),) = find_images(["b.jpg", "none/*.jpg"])
    assert names(found) == ["b.jpg"]
    assert (source, error.message) == ("none/*.jpg", "nothing matches none/*.jpg")
    assert error.exit_code == 3


@pytest.mark.parametrize("source", ["sub**.jpg", "x" * 300 + ".jpg", "x" * 300 + "/*.jpg"])
def test_source_that_cannot_be_looked_at_does_not_stop_the_others(tree, source):
    found, ((failed, error),) = find_images([source, "b.jpg"])
    assert names(found) == ["b.jpg"]
    assert failed == source
    assert error.exit_code == 3


def test_folder_that_may_not_be_read_does_not_stop_the_others(tree, monkeypatch):
    def iterdir(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found, ((source, error),) = find_images(["sub", "b.jpg"])
    assert (names(found), source) == (["b.jpg"], "sub")
    assert "Permission denied" in error.message


@pytest.mark.parametrize("name", ["two words.jpg", "Größe 手.jpg", "IMG[1].jpg", "what?.jpg", "50%*.jpg", "-q.jpg"])
def test_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for part in (name, "IMG1.jpg", "whats.jpg"):
        Image.new("RGB", (3, 2)).save(part)
    assert find_images([name]) == ([Path(name)], [])
    assert name in names(find_images(["."])[0])
    assert read_image(name).shape == (2, 3, 3)


def test_folder_with_brackets(tmp_path):
    folder = tmp_path / "set[1]"
    folder.mkdir()
    (folder / "a.jpg").touch()
    assert find_images([str(folder)]) == ([folder / "a.jpg"], [])


def test_empty_name_is_no_source():
    found, errors = find_images([""])
    assert found == []
    assert [source for source, _ in errors] == [""]


# --- items


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("b.png", "a.png")):
        Image.fromarray(scene(20, 30, seed=seed)).save(tmp_path / name)
    (tmp_path / "ab.png").write_text("no image")
    return tmp_path


def test_items_of_a_folder(folder):
    source = FileSource(str(folder))
    assert source.total == 3
    first, broken, last = (item.loaded() for item in source)
    assert [Path(item.name).name for item in (first, broken, last)] == ["a.png", "ab.png", "b.png"]
    np.testing.assert_array_equal(first.image, scene(20, 30, seed=1)[..., ::-1])
    np.testing.assert_array_equal(last.image, scene(20, 30, seed=0)[..., ::-1])
    assert broken.image is None
    assert isinstance(broken.error, InputError)
    assert "is not an image of a known format" in broken.error.message
    assert (first.error, first.frame, first.time_s) == (None, None, None)
    assert [item.name for item in source] == [first.name, broken.name, last.name], "can be read again"


def test_images_are_read_one_at_a_time(folder, monkeypatch):
    read = []
    monkeypatch.setattr(files, "read_image", lambda path, limit: read.append(path.name) or scene(4, 4, seed=0))
    items = list(FileSource(str(folder)))
    assert read == []
    assert items[0].loaded().image.shape == (4, 4, 3)
    assert read == ["a.png"]


def test_word_that_means_nothing_is_one_item_with_its_error(tmp_path):
    source = FileSource(str(tmp_path / "no*.jpg"))
    assert source.total == 1
    (item,) = source
    assert item.name == str(tmp_path / "no*.jpg")
    assert item.error.message == f"nothing matches {item.name}"


def test_limit_of_pixels(folder):
    (item,) = (item.loaded() for item in FileSource(str(folder / "a.png"), SourceOptions(599)))
    assert "has 30x20 pixels, the limit is 599" in item.error.message
    (item,) = (item.loaded() for item in FileSource(str(folder / "a.png"), SourceOptions(600)))
    assert item.image.shape == (20, 30, 3)


# --- subfolders


def test_subfolders(tree):
    source = FileSource(".", SourceOptions(recursive=True))
    assert names(source.paths()) == ["a.PNG", "b.jpg", "c.jpeg", "sub/d.jpg", "sub/deep/e.webp"]
    assert source.notes == []
    (note,) = FileSource(".").notes
    assert note == "note: 3 subfolders of . left out (folder.jpg, none, sub); --recursive reads them"
    assert FileSource("b.jpg").notes == []


def test_links_in_circles_end(tree):
    (tree / "sub/loop").symlink_to(tree, target_is_directory=True)
    assert len(FileSource(".", SourceOptions(recursive=True)).paths()) == 5


# --- pages and frames


def test_frames_of_an_animation(tmp_path):
    path = tmp_path / "wave.gif"
    frames = [Image.fromarray(np.full((20, 30, 3), value, np.uint8)) for value in (10, 120, 250)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 300, 100])
    source = FileSource(str(path))
    assert source.total == 3
    items = list(source)
    assert [(item.frame, item.time_s) for item in items] == [(0, 0.0), (1, 0.1), (2, 0.4)]
    assert [int(item.image[0, 0, 0]) for item in items] == [10, 120, 250]


def test_pages_of_a_tiff(tmp_path):
    path = tmp_path / "pages.tif"
    pages = [Image.fromarray(scene(20, 30, seed=seed)) for seed in (0, 1)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    items = list(FileSource(str(path)))
    assert [(item.frame, item.time_s) for item in items] == [(0, 0.0), (1, 0.0)]
    np.testing.assert_array_equal(items[1].image, scene(20, 30, seed=1)[..., ::-1])


def test_a_still_image_of_such_a_format_has_no_frame(tmp_path):
    for suffix in (".gif", ".png", ".tif", ".webp"):
        Image.fromarray(scene(20, 30, seed=0)).save(tmp_path / f"a{suffix}")
    items = [item.loaded() for item in FileSource(str(tmp_path))]
    assert [(item.frame, item.image.shape) for item in items] == [(None, (20, 30, 3))] * 4


def test_an_animation_that_breaks_off(tmp_path):
    path = tmp_path / "wave.gif"
    frames = [Image.fromarray(scene(40, 60, seed=seed)) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    items = [item.loaded() for item in FileSource(str(path))]
    assert [item.error is None for item in items] == [True, False]
    assert "cannot read" in items[-1].error.message
    assert items[-1].frame == 1
