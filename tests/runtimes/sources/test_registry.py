"""What a word means."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvport.exporters.gate.probes import scene
from cvport.models.lazy import resolve
from cvport.runtimes.sources import registry
from cvport.runtimes.sources.base import Item, Items, SourceOptions
from cvport.runtimes.sources.registry import SOURCES, SourceEntry, open_sources


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(scene(20, 30, seed=0)).save("a.png")
    return tmp_path


def open_all(*words):
    return [item.loaded() for item in open_sources(words, SourceOptions(10**6))]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("-", "list"),
        ("@list.txt", "list"),
        ("0", "camera"),
        ("http://host/x.jpg", "address"),
        ("rtsp://camera:554/1", "address"),
        ("clip.mp4", "video"),
        ("a.png", "files"),
        ("gone.mp4", "files"),
        ("*.mp4", "files"),
    ],
)
def test_what_a_word_means(word, kind):
    Path("clip.mp4").write_bytes(b"0")
    assert next(name for name, entry in SOURCES.items() if entry.means(word)) == kind


def test_video_that_is_not_there_is_a_missing_file():
    (item,) = open_all("gone.mp4")
    assert item.error.message == "no such file: gone.mp4"


def test_files_and_folders_with_such_names_are_files():
    for name in ("7", "clip.mp4", "@list"):
        Path(name).mkdir()
        Image.fromarray(scene(20, 30, seed=0)).save(f"{name}/b.png")
    items = open_all("7", "clip.mp4", "@list", "a.png")
    assert [Path(item.name).as_posix() for item in items] == ["7/b.png", "clip.mp4/b.png", "@list/b.png", "a.png"]
    assert all(item.error is None for item in items)


def test_words_in_order_among_those_that_cannot_be_read():
    source = open_sources(["a.png", "@gone.txt", "x" * 300 + ".mp4", "*.png"], SourceOptions(10**6))
    assert source.total == 4
    items = list(source)
    assert [item.error is None for item in items] == [True, False, False, True]
    np.testing.assert_array_equal(items[0].image, items[3].image)


def test_every_row_of_the_table_can_be_opened():
    assert list(SOURCES)[-1] == "files"
    for entry in SOURCES.values():
        assert callable(resolve(entry.opens, "cvport.runtimes.sources"))


class Numbers:
    """A source that a row adds: the word says how many images there are."""

    notes = ()

    def __init__(self, word, options):
        self.total = int(word.removeprefix("n="))

    def __iter__(self):
        return iter([Item(f"n{i}", scene(4, 4, seed=i), frame=i, time_s=i / 2) for i in range(self.total)])


def test_new_source_is_a_row(monkeypatch):
    monkeypatch.setattr(registry, "Numbers", Numbers, raising=False)
    row = SourceEntry(lambda word: word.startswith("n="), ".registry:Numbers")
    monkeypatch.setattr(registry, "SOURCES", {"numbers": row, **SOURCES})
    source = open_sources(["n=3", "a.png"], SourceOptions(10**6))
    assert source.total == 4
    assert [(item.name, item.time_s) for item in source] == [("n0", 0), ("n1", 0.5), ("n2", 1), ("a.png", None)]
    assert Items([]).total == 0
