"""How far a run came: what is written down, and what is believed of it."""

from __future__ import annotations

import json

import pytest

from cvport.errors import InputError, UsageError
from cvport.runtimes.resume import Progress
from cvport.runtimes.sinks.output import OutFile
from cvport.runtimes.sources.base import Item

RUN = {"model": "yolox", "sources": ["photos"]}
LINES = [f'{{"source": "{name}"}}\n' for name in ("a", "b", "c")]


@pytest.fixture
def place(tmp_path):
    return tmp_path / "found.jsonl"


def write(place, lines=LINES):
    """Write results as a run does, and what is noted of them."""
    progress = Progress(place, RUN)
    with OutFile(place, whole=False) as out:
        for number, line in enumerate(lines):
            out.write(line)
            progress.note(Item(f"{number}.png"), out)


def test_a_run_goes_on_where_it_stopped(place):
    write(place, LINES[:2])
    progress = Progress(place, RUN)
    assert progress.load()
    assert (progress.done, progress.size, progress.last) == (2, len("".join(LINES[:2])), "1.png")
    with OutFile(place, whole=False, resume_at=progress.size) as out:
        out.write(LINES[2])
        progress.note(Item("2.png"), out)
    assert place.read_text() == "".join(LINES)
    assert json.loads(place.with_name("found.jsonl.run.json").read_text())["done"] == 3
    assert sorted(path.name for path in place.parent.iterdir()) == ["found.jsonl", "found.jsonl.run.json"]


def test_what_a_killed_run_left_behind_is_used_up(place):
    left = place.with_name(".found.jsonl.run.json.partial")
    left.write_text("{")
    write(place)
    assert not left.exists()


@pytest.mark.parametrize("left", [None, b""])
def test_a_run_that_was_begun_anew_and_ended_at_once_begins_anew(place, left):
    """What was noted is of the run before, whose results are gone."""
    write(place)
    place.unlink()
    if left is not None:
        place.write_bytes(left)
    progress = Progress(place, {**RUN, "model": "nanodet"})
    assert not progress.load()
    assert (progress.done, progress.size) == (0, 0)


@pytest.mark.parametrize("content", ["".join(LINES)[:-1], "x" * 400, LINES[0]])
def test_results_that_are_not_as_the_run_left_them_are_refused(place, content):
    write(place)
    place.write_text(content)
    with pytest.raises(InputError, match=r"found.jsonl was changed since found.jsonl.run.json was written") as failure:
        Progress(place, RUN).load()
    assert failure.value.hint == "Run without --resume to begin anew."
    assert place.read_text() == content


def test_another_run_is_refused(place):
    write(place)
    with pytest.raises(UsageError, match="with another model"):
        Progress(place, {**RUN, "model": "nanodet"}).load()


def test_from_what_could_not_be_written_on_nothing_is_noted(place):
    """It would be left out by a run that goes on."""
    progress = Progress(place, RUN)
    with OutFile(place, whole=False) as out:
        for number, line in enumerate(LINES):
            out.write(line)
            out.intact = number < 1
            progress.note(Item(f"{number}.png"), out)
    again = Progress(place, RUN)
    assert again.load()
    assert (again.done, again.size, again.last) == (1, len(LINES[0]), "0.png")


def test_a_run_goes_on_where_nothing_can_be_noted(place, caplog):
    place.with_name("found.jsonl.run.json").mkdir()
    write(place)
    assert place.read_text() == "".join(LINES)
    (told,) = caplog.messages
    assert "found.jsonl.run.json: Is a directory; --resume would make results from here on again" in told
