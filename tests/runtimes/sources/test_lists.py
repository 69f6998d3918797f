"""Lists of sources: a word on each line, each costs only itself."""

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from cvport.exporters.gate.probes import scene
from cvport.runtimes.sources.base import SourceOptions
from cvport.runtimes.sources.registry import open_sources


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    for name in ("a.png", "set/b.png", "two words.png"):
        Image.fromarray(scene(20, 30, seed=0)).save(name)
    return tmp_path


def read(word):
    source = open_sources([word], SourceOptions())
    return source.total, [item.loaded() for item in source]


LINES = "# pictures\n\na.png\r\n  two words.png  \nset\ngone.png\n*.png\n"


def check(total, items):
    assert [item.name for item in items] == [
        "a.png",
        "two words.png",
        "set/b.png",
        "gone.png",
        "a.png",
        "two words.png",
    ]
    assert [item.name for item in items if item.error] == ["gone.png"]
    assert total == 6


def test_a_list_in_a_file():
    Path("list.txt").write_text("\ufeff" + LINES, encoding="utf-8")
    check(*read("@list.txt"))


def test_a_list_on_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(LINES))
    check(*read("-"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the list gone.txt: No such file or directory"),
        (b"\xff\xfe\xfa", "cannot read the list list.txt: it is no text in UTF-8"),
        (b"# nothing\n\n", "the list @list.txt names nothing"),
    ],
)
def test_lists_that_cannot_be_used(content, message):
    if content is not None:
        Path("list.txt").write_bytes(content)
    total, (item,) = read("@gone.txt" if content is None else "@list.txt")
    assert (total, item.error.message) == (1, message)
    assert item.error.exit_code == 3


def test_a_list_in_a_list_is_refused_and_costs_itself():
    Path("list.txt").write_text("@list.txt\n-\na.png\n")
    _, items = read("@list.txt")
    assert [item.error is None for item in items] == [False, False, True]
    assert "lists are not read from lists" in items[0].error.message


def test_a_line_may_hold_what_other_programs_take_for_its_end():
    Path("a\u2028b.png").write_bytes(Path("a.png").read_bytes())
    Path("list.txt").write_text("a\u2028b.png\na.png\n", encoding="utf-8")
    _, items = read("@list.txt")
    assert [item.name for item in items] == ["a\u2028b.png", "a.png"]
    assert all(item.error is None for item in items)


@pytest.mark.parametrize("entry", ["@" + "a" * 300, "@a\0b"])
def test_a_line_that_is_no_path(entry):
    Path("list.txt").write_text(f"{entry}\na.png\n", encoding="utf-8")
    _, items = read("@list.txt")
    assert [item.error is None for item in items] == [False, True]
    assert items[0].error.exit_code == 3
