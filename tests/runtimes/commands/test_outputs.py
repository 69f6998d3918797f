"""``cvrun`` with --output, --resume and the rest: what is written where, and how a run goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvport.errors import UsageError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.commands.outputs import choose_output
from cvport.runtimes.sources import files


@pytest.fixture
def run(invoke, nano_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    for number in range(6):
        Image.fromarray(scene(60, 80, seed=number)).save(f"set/{number}.png")
    Path("set/3.png").write_text("no image")
    return lambda *given: invoke(cvrun, "-m", nano_artifact.onnx, "--conf", "0.01", "--backend", "onnx", *given)


def without_times(text):
    return re.sub(r', "timing_ms": \{[^}]*\}(, "warmup": true)?', "", text)


@pytest.mark.parametrize(
    ("name", "form"), [("f.json", "json"), ("f.jsonl", "jsonl"), ("f.csv", "csv"), ("f.txt", "table")]
)
def test_the_ending_tells_the_format_and_a_table_is_on_the_screen(run, name, form):
    expected = run("-q", "--format", form, "set").out
    done = run("-q", "-o", f"new/{name}", "set")
    written = Path("new", name).read_text()
    assert done.code == 3

    def shape(text):
        return re.sub(r"\d+\.\d+", "#", re.sub(r',\s*"warmup": true', "", text))

    assert shape(written) == shape(expected)
    assert done.out.startswith("set/0.png  80x60  ")
    assert {path.name for path in Path("new").iterdir()} <= {name, f"{name}.run.json"}


def test_a_file_for_each_image(run):
    assert run("-q", "-o", "labels/", "set").code == 3
    assert sorted(path.name for path in Path("labels").iterdir()) == ["0.txt", "1.txt", "2.txt", "4.txt", "5.txt"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"form": "yolo"}, "yolo is a file for each image"),
        ({"output": "x.foo"}, "the ending tells no format"),
        ({"output": "x.json", "form": "yolo"}, "does not fit yolo"),
        ({"output": "x/", "form": "json"}, "does not fit json"),
        ({"resume": True}, "--resume goes on with a file"),
        ({"output": "x.json", "resume": True}, "json cannot be resumed"),
        ({"output": "x/", "resume": True}, "yolo cannot be resumed"),
        ({"output": "x.jsonl", "resume": True, "save": "out"}, "not with images"),
    ],
)
def test_options_that_contradict_each_other(given, message):
    with pytest.raises(UsageError, match=message):
        choose_output({"form": None, "output": None, "resume": False, "save": None, "crops": None, **given})


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv"])
def test_an_interrupted_run_goes_on_and_ends_the_same(run, monkeypatch, name):
    assert run("-q", "-o", f"whole/{name}", "set").code == 3
    read = files.read_image

    def interrupted(path, max_pixels):
        if path.name == "2.png":
            os.kill(os.getpid(), signal.SIGINT)
        return read(path, max_pixels)

    monkeypatch.setattr(files, "read_image", interrupted)
    assert run("-o", name, "--workers", "1", "set").code == 130
    begun = Path(name).read_text()
    seen = []
    monkeypatch.setattr(files, "read_image", lambda path, limit: seen.append(path.name) or read(path, limit))
    done = run("-o", name, "--resume", "set")
    assert done.code in (0, 3), "what failed before is not tried again"
    assert re.search(r"resumed: [1-5] done before", done.err)
    assert "0.png" not in seen, "what is done is not even read"
    assert without_times(Path(name).read_text()) == without_times(Path("whole", name).read_text())
    assert Path(name).read_text().startswith(begun)
    again = run("-o", name, "--resume", "set")
    assert (again.code, again.out) == (0, "")


def test_a_half_line_of_a_killed_run_is_written_again(run):
    run("-q", "-o", "whole.jsonl", "set")
    run("-q", "-o", "f.jsonl", "set")
    state = json.loads(Path("f.jsonl.run.json").read_text())
    lines = Path("f.jsonl").read_text().splitlines(keepends=True)
    state |= {"done": 2, "size": len("".join(lines[:2]).encode()), "last": "set/1.png"}
    Path("f.jsonl.run.json").write_text(json.dumps(state))
    Path("f.jsonl").write_text("".join(lines[:2]) + lines[2][:17])
    run("-q", "-o", "f.jsonl", "--resume", "set")
    assert without_times(Path("f.jsonl").read_text()) == without_times(Path("whole.jsonl").read_text())


def test_another_run_is_not_gone_on_with(run):
    run("-q", "-o", "f.jsonl", "set/0.png", "set/1.png")
    before = Path("f.jsonl").read_bytes()
    done = run("-q", "-o", "f.jsonl", "--resume", "--iou", "0.3", "set/0.png", "set/1.png")
    assert (done.code, Path("f.jsonl").read_bytes()) == (2, before)
    assert "were made with another settings" in done.err
    assert "another sources" in run("-q", "-o", "f.jsonl", "--resume", "set").err
    Path("f.jsonl.run.json").write_text("{")
    assert run("-q", "-o", "f.jsonl", "--resume", "set/0.png", "set/1.png").code == 3


def test_sources_that_changed_are_told(run):
    run("-q", "-o", "f.jsonl", "set")
    Path("set/00.png").write_bytes(Path("set/0.png").read_bytes())
    done = run("-q", "-o", "f.jsonl", "--resume", "set")
    assert done.code == 2
    assert "the sources have changed" in done.err


def test_a_killed_run_goes_on_and_ends_the_same(run, nano_artifact):
    for number in range(6, 60):
        Image.fromarray(scene(60, 80, seed=number)).save(f"set/{number:02d}.png")
    run("-q", "-o", "whole.jsonl", "set")
    code = "from cvport.runtimes.commands.cvrun import main; main()"
    arguments = [
        "-m",
        str(nano_artifact.onnx),
        "--conf",
        "0.01",
        "--backend",
        "onnx",
        "-o",
        "f.jsonl",
        "--resume",
        "set",
    ]
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=-3, stderr=-3) as killed:
        place = Path("f.jsonl.run.json")
        end = time.monotonic() + 60
        while time.monotonic() < end and not (place.exists() and json.loads(place.read_text())["done"] > 3):
            time.sleep(0.002)
        killed.kill()
    assert 3 < json.loads(place.read_text())["done"] <= 60
    run("-q", "-o", "f.jsonl", "--resume", "set")
    assert without_times(Path("f.jsonl").read_text()) == without_times(Path("whole.jsonl").read_text())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_and_the_run_goes_on(run):
    done = run("-o", "/dev/full", "--format", "jsonl", "set/0.png", "set/1.png")
    assert done.code == 3
    assert done.err.count("cannot write /dev/full: No space left on device") == 2
    assert len(re.findall(r"^set/", done.out, re.MULTILINE)) == 2, "the table is there"
    assert not Path("/dev/full.run.json").exists()


def test_crops_and_a_video_of_a_video(run):
    import cv2

    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (80, 60))
    for seed in range(3):
        writer.write(np.ascontiguousarray(scene(60, 80, seed=seed)[..., ::-1]))
    writer.release()
    done = run("--save", "out/", "--crops", "crops", "clip.avi")
    assert done.code == 0
    assert "saved out/clip_onnx.mp4" in done.err
    assert any(path.name.startswith("clip_000002_0_") for path in Path("crops").iterdir())
