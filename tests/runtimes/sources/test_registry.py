"""What a word means: files, or a source that is answered with the command to use instead."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvport.exporters.gate.probes import scene
from cvport.models.lazy import resolve
from cvport.runtimes.sources import registry
from cvport.runtimes.sources.base import Item, Items
from cvport.runtimes.sources.registry import SOURCES, SourceEntry, open_sources


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(scene(20, 30, seed=0)).save("a.png")
    return tmp_path


def open_all(*words):
    return list(open_sources(words, 10**6))


@pytest.mark.parametrize(
    ("word", "message", "command"),
    [
        ("-", "standard input", "cat > image.png && cvrun image.png"),
        ("0", "cameras, and there is no file 0", "ffmpeg -f v4l2 -i /dev/video0 -frames:v 1 image.png && cvrun"),
        ("http://host/x.jpg", "http://host/x.jpg", "curl -O http://host/x.jpg && cvrun x.jpg"),
        ("HTTPS://host//a%20b.png", "HTTPS://host//a%20b.png", "curl -O HTTPS://host//a%20b.png && cvrun a%20b.png"),
        ("https://h/a b.jpg?q=1", "https://h/a b.jpg?q=1", "curl -O 'https://h/a b.jpg?q=1' && cvrun 'a b.jpg'"),
        ("https://host/", "https://host/", "curl -o image.jpg https://host/ && cvrun image.jpg"),
        ("rtsp://me@camera:554/1", "rtsp://me@camera:554/1", "ffmpeg -i rtsp://me@camera:554/1 -frames:v 1 image.png"),
        ("s3://bucket/x.jpg", "s3://bucket/x.jpg", "Copy the file to this machine"),
    ],
)
def test_sources_that_are_not_read_name_what_was_given_and_what_to_use(word, message, command):
    (item,) = open_all(word)
    assert item.name == word
    assert item.image is None
    assert item.error.exit_code == 3
    assert message in item.error.message
    assert command in item.error.hint


@pytest.mark.parametrize("name", ["clip.mp4", "my clip.MOV"])
def test_video(name):
    Path(name).write_bytes(b"0")
    (item,) = open_all(name)
    assert item.error.message == f"images are not read from videos: {name}"
    quoted = f"'{name}'" if " " in name else name
    assert f"ffmpeg -i {quoted} frames/%06d.png && cvrun frames/" in item.error.hint


def test_video_that_is_not_there_is_a_missing_file():
    (item,) = open_all("gone.mp4")
    assert item.error.message == "no such file: gone.mp4"


def test_files_and_folders_with_such_names_are_files():
    for name in ("7", "clip.mp4"):
        Path(name).mkdir()
        Image.fromarray(scene(20, 30, seed=0)).save(f"{name}/b.png")
    items = open_all("7", "clip.mp4", "a.png")
    assert [Path(item.name).as_posix() for item in items] == ["7/b.png", "clip.mp4/b.png", "a.png"]
    assert all(item.error is None for item in items)


def test_words_in_order_among_those_that_cannot_be_read():
    source = open_sources(["a.png", "-", "x" * 300 + ".mp4", "*.png"], 10**6)
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

    def __init__(self, word, max_pixels):
        self.total = int(word.removeprefix("n="))

    def __iter__(self):
        return iter([Item(f"n{i}", scene(4, 4, seed=i), frame=i, time_s=i / 2) for i in range(self.total)])


def test_new_source_is_a_row(monkeypatch):
    monkeypatch.setattr(registry, "Numbers", Numbers, raising=False)
    row = SourceEntry(lambda word: word.startswith("n="), ".registry:Numbers")
    monkeypatch.setattr(registry, "SOURCES", {"numbers": row, **SOURCES})
    source = open_sources(["n=3", "a.png"], 10**6)
    assert source.total == 4
    assert [(item.name, item.time_s) for item in source] == [("n0", 0), ("n1", 0.5), ("n2", 1), ("a.png", None)]
    assert Items([]).total == 0
