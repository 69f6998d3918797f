"""File names and labels give no commands to the terminal; a stream that cannot be written is told."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from cvport.exporters.gate.probes import scene
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.commands.terminal import Escaped, drawing, escaped_output

RED = "a\x1b[31mred.png"
LIKE_OURS = "b\nerror: all is lost.png"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in (RED, LIKE_OURS):
        Image.fromarray(scene(60, 80, seed=1)).save(tmp_path / name)
    (tmp_path / "c\x1b]0;title\x07.png").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_names_of_files(folder, nano_artifact, invoke, form):
    done = invoke(cvrun, "-m", nano_artifact.onnx, "--conf", "0.01", "--max-det", "1", "--format", form, ".")
    assert done.code == 3
    assert "\x1b" not in done.out + done.err
    assert "\x07" not in done.err
    assert "error: c\\u001b]0;title\\u0007.png is not an image of a known format" in done.err
    assert "a\\u001b[31mred.png" in done.out
    assert not any(line.startswith("error: all") for line in done.out.splitlines())
    if form.startswith("json"):
        lines = done.out.splitlines() if form == "jsonl" else [done.out]
        first = json.loads(lines[0])
        assert (first["source"] if form == "jsonl" else first["results"][0]["source"]) == RED


def test_labels(folder, nano_artifact, with_seal, invoke):
    labels = ["hand\x1b[2J", "face\nerror: none", "=1+1"]
    path = with_seal(labels=labels)
    done = invoke(cvrun, "-m", path, "--conf", "0.01", RED)
    assert done.code == 0
    assert "\x1b" not in done.out
    shown = {"hand\\u001b[2J", "face\\u000aerror:", "=1+1"}
    assert {line.split()[0] for line in done.out.splitlines()[1:]} <= shown
    rows = invoke(cvrun, "-m", path, "--conf", "0.01", "--format", "csv", RED).out.splitlines()[1:]
    assert {row.split(",")[1] for row in rows} <= {"hand\\u001b[2J", "face\\u000aerror: none", "'=1+1"}
    assert any("\\u00" in row.split(",")[1] for row in rows)


def test_options_and_errors(folder, invoke):
    done = invoke(cvrun, "--no\x1b[31m", "a.png")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\x1b" not in invoke(cvrun, "-m", "x\x1b[31m", "a.png").err


def test_streams_are_put_back(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    before = sys.stdout, sys.stderr
    with escaped_output():
        assert isinstance(sys.stdout, Escaped)
        sys.stdout.write("a\x1bb\n")
        assert drawing() is before[1]
    assert (sys.stdout, sys.stderr) == before
    assert before[0].getvalue() == "a\\u001bb\n"
    assert drawing() is sys.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "coco"])
def test_a_full_disk_behind_stdout(folder, nano_artifact, form):
    code = "from cvport.runtimes.commands.start import cvrun; cvrun()"
    words = [sys.executable, "-c", code, "-m", str(nano_artifact.onnx), "--backend", "onnx", "--format", form, RED]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert "cannot write the results to standard output: No space left on device" in done.stderr
    assert "defect" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
def test_a_full_disk_behind_anything_else():
    code = "from cvport.exporters.commands.cvexport import main; main()"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        words = [sys.executable, "-c", code, "list"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert "error: the system refuses: [Errno 28] No space left on device" in done.stderr


def cvrun_in_a_process(artifact, *words, **streams):
    code = "from cvport.runtimes.commands.start import cvrun; cvrun()"
    command = [sys.executable, "-c", code, "-m", str(artifact.onnx), "--backend", "onnx", *words]
    return subprocess.run(command, text=True, check=False, **streams)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
def test_messages_that_cannot_be_written_cost_no_result(folder, nano_artifact):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = cvrun_in_a_process(nano_artifact, "--format", "jsonl", ".", stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 3
    done = cvrun_in_a_process(nano_artifact, "--log-file", "/dev/full", RED, capture_output=True)
    assert done.returncode == 0
    assert done.stderr.count("the log file cannot be written: ") == 1
    assert "Traceback" not in done.stderr


def test_the_file_goes_on_when_the_reader_of_the_table_leaves(folder, nano_artifact):
    for number in range(6):
        Image.fromarray(scene(60, 80, seed=1)).save(f"set{number}.png")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        done = cvrun_in_a_process(nano_artifact, "-o", "found.jsonl", "set*.png", stdout=gone, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert "BrokenPipe" not in done.stderr
    with open("found.jsonl") as found:  # noqa: PTH123
        assert [json.loads(line)["source"] for line in found] == [f"set{number}.png" for number in range(6)]
