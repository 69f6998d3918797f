"""Files of results: whole or not at all, or whole lines; names that do not meet."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cvport.errors import InputError
from cvport.runtimes.sinks.output import Names, OutFile, write_whole


class Full:
    """A file on a disk that takes three bytes more."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        if len(data) > 3:
            return self.file.write(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_whole_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new/found.json"
    path.parent.mkdir()
    path.write_text("old")
    with OutFile(path, whole=True) as out:
        out.write("手")
        assert path.read_text() == "old"
    assert path.read_text(encoding="utf-8") == "手"
    assert [entry.name for entry in path.parent.iterdir()] == ["found.json"]


def test_a_whole_file_without_content_leaves_what_was_there(tmp_path):
    path = tmp_path / "found.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), OutFile(path, whole=True):
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["found.json"]


def test_a_whole_file_without_its_end_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "found.json"
    path.write_text("old")
    with OutFile(path, whole=True) as out:
        out.write("[1,")
        monkeypatch.setattr(out, "_file", Full(out._file))
        with pytest.raises(InputError, match="No space left"):
            out.write("2222]")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["found.json"]


def test_a_whole_file_that_cannot_be_put_in_its_place(tmp_path):
    path = tmp_path / "found.json"
    out = OutFile(path, whole=True)
    out.__enter__()
    out.write("[]")
    path.mkdir()
    with pytest.raises(InputError, match=r"cannot write .*found.json: Is a directory"):
        out.__exit__(None, None, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["found.json"]


def test_lines_are_there_at_once_and_a_file_can_be_gone_on_with(tmp_path):
    path = tmp_path / "deep/er/found.jsonl"
    with OutFile(path, whole=False) as out:
        out.write("one\n")
        assert path.read_text() == "one\n"
        out.write("two\nhalf of thr")
    with OutFile(path, whole=False, resume_at=8) as out:
        assert out.size == 8
        out.write("three\n")
    assert path.read_text() == "one\ntwo\nthree\n"


def test_what_cannot_be_written_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "found.jsonl"
    with OutFile(path, whole=False) as out:
        out.write("one\n")
        file = out._file

        monkeypatch.setattr(out, "_file", Full(file))
        assert out.intact
        with pytest.raises(InputError, match="No space left on device") as failure:
            out.write("second\n")
        assert failure.value.hint == "Free some space there, or choose another place."
        monkeypatch.setattr(out, "_file", file)
        out.write("three\n")
        assert not out.intact
    assert path.read_text() == "one\nthree\n"


@pytest.mark.parametrize("place", ["folder", "file/found.json", "/dev/full/x"])
def test_places_that_cannot_be_written(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as failure, OutFile(tmp_path / place, whole=False):
        pass
    assert failure.value.exit_code == 3


def test_a_device_that_is_full():
    with OutFile(Path("/dev/full"), whole=False) as out, pytest.raises(InputError, match="No space left"):
        out.write("x")
    with pytest.raises(InputError, match="cannot write"):
        write_whole(Path("/dev/full/x"), b"")


def test_names_do_not_meet(tmp_path):
    names = Names(tmp_path)
    assert [names.take("a", ".png").name for _ in range(3)] == ["a.png", "a-2.png", "a-3.png"]
    assert names.take("a", ".jpg").name == "a.jpg"
    assert names.take("a-2", ".png").name == "a-2-2.png"
