"""Digests are kept by path, inode, size and time of change; a cache that does not work is no error."""

import json
import os
import time

import pytest

from cvport.runtimes.digests import cache_file, cached_digest


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/cvport/digests.json"


class Computed:
    """Stands in for a digest; counts how often it is computed."""

    def __init__(self):
        self.calls = 0

    def __call__(self, path):
        self.calls += 1
        return path.read_text()


@pytest.fixture
def compute():
    return Computed()


def settled(path, text="one", age=100):
    """A file that was last changed some time ago."""
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_second_look_computes_nothing(tmp_path, place, compute):
    path = settled(tmp_path / "a.onnx")
    assert [cached_digest(path, compute) for _ in range(3)] == ["one"] * 3
    assert compute.calls == 1
    (record,) = json.loads(place.read_text())["files"].values()
    status = path.stat()
    assert record == [status.st_ino, status.st_size, status.st_mtime_ns, "one"]
    assert [file.name for file in place.parent.iterdir()] == ["digests.json"], "nothing partial is left"


@pytest.mark.parametrize("change", ["content", "time", "inode"])
def test_changed_file_is_computed_again(tmp_path, place, compute, change):
    path = settled(tmp_path / "a.onnx")
    cached_digest(path, compute)
    if change == "content":
        settled(path, "longer")
    elif change == "time":
        settled(path, "two", age=50)
    else:
        other = settled(tmp_path / "b.onnx", "two")
        os.utime(other, ns=(0, path.stat().st_mtime_ns))
        other.replace(path)
    assert cached_digest(path, compute) == path.read_text()
    assert compute.calls == 2


def test_file_that_was_just_written_is_not_kept(tmp_path, place, compute):
    path = tmp_path / "a.onnx"
    path.write_text("one")
    cached_digest(path, compute)
    assert not place.exists(), "it could be written again within one step of the clock"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"files": 3}', '{"files": {"a": 1}}', "\xff", '{"files": [1]}', "[" * 9999]
)
def test_damaged_cache_is_made_anew(tmp_path, place, compute, content):
    place.parent.mkdir(parents=True)
    place.write_text(content, encoding="latin-1")
    path = settled(tmp_path / "a.onnx")
    assert [cached_digest(path, compute) for _ in range(2)] == ["one"] * 2
    assert compute.calls == 1


def test_cache_that_cannot_be_written(tmp_path, place, compute):
    place.parent.parent.mkdir()
    place.parent.write_text("a file where the folder should be")
    path = settled(tmp_path / "a.onnx")
    assert [cached_digest(path, compute) for _ in range(2)] == ["one"] * 2
    assert compute.calls == 2


def test_no_home(tmp_path, monkeypatch, compute):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert cache_file() is None
    assert cached_digest(settled(tmp_path / "a.onnx"), compute) == "one"


def test_place_without_the_variable_and_with_a_relative_one(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_file() == tmp_path / ".cache/cvport/digests.json"


def test_cache_stays_small(tmp_path, place, compute):
    place.parent.mkdir(parents=True)
    files = {f"/gone/{i}": [1, 2, 3, "x"] for i in range(600)}
    place.write_text(json.dumps({"files": files}))
    path = settled(tmp_path / "a.onnx")
    cached_digest(path, compute)
    kept = json.loads(place.read_text())["files"]
    assert len(kept) == 512
    assert list(kept)[-1] == str(path)
    assert "/gone/0" not in kept
