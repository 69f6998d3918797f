"""Disks that are full, files that may not grow, folders that cannot be written, readers that leave."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from cvport.exporters.publish import verify_sums
from cvport.exporters.verify import verify_artifact
from faults import mounts
from faults.programs import cvexport, cvrun, run, without_times

# 4 KiB a page: some results, not those of all twelve pictures.
_SMALL = "mkdir disk && mount -t tmpfs -o size={size}k none disk"
_ROOM = "mount -o remount,size=8m disk"
_READ_ONLY = "mount --bind disk disk && mount -o remount,bind,ro disk"
_FULL_STDOUT = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


@pytest.fixture
def words(nano_artifact: Any, folder: Path) -> list[str]:
    return ["-q", "-m", str(nano_artifact.onnx), "--backend", "onnx", "--conf", "0.01", "--max-det", "30"]


def undisturbed(words: list[str], *more: str) -> str:
    done = run(cvrun(*words, "--format", "jsonl", *more, "set"))
    assert done.code == 0
    return without_times(done.out)


def export_words(nano_artifact: Any, output: str) -> list[str]:
    words = ["--input-size", "160", "--preprocess", "megvii", "--activation", "silu", "-q", "-o", output]
    return ["yolox", "--weights", str(nano_artifact.weights), *words]


# --- a run on a full disk


def test_results_that_a_full_disk_does_not_take_are_made_again(words: list[str], folder: Path) -> None:
    """One mount for all three: a full disk, the same with more room, and what is there in the end."""
    command = cvrun(*words, "-o", "disk/f.jsonl", "--resume", "set")
    after = f'cp disk/f.jsonl first.jsonl; cp disk/f.jsonl.run.json .; {_ROOM}; "$@"; echo $? > code; cp disk/f.jsonl .'
    done = mounts.within(_SMALL.format(size=16), command, after)
    assert done.code == 3
    assert "cannot write disk/f.jsonl: No space left on device\n  Free some space there" in done.err
    noted = json.loads(Path("f.jsonl.run.json").read_text())["done"]
    assert 0 < noted < 12
    for line in Path("first.jsonl").read_text().splitlines():
        assert json.loads(line)["source"].startswith("set/"), "there is no half line"
    assert Path("code").read_text() == "0\n"
    assert without_times(Path("f.jsonl").read_text()) == undisturbed(words)


@pytest.mark.faults
@pytest.mark.parametrize("form", ["json", "coco"])
def test_a_document_that_does_not_fit_leaves_the_one_before(words: list[str], folder: Path, form: str) -> None:
    before = json.dumps({"old": True})
    mounting = f"{_SMALL.format(size=12)} && echo '{before}' > disk/f.json"
    command = cvrun(*words, "--format", form, "-o", "disk/f.json", "set")
    done = mounts.within(mounting, command, "ls -A disk > names && cp disk/f.json .")
    assert done.code == 3
    assert "No space left on device" in done.err
    content = json.loads(Path("f.json").read_text())
    if form == "json" and "results" in content:  # its end did fit
        assert 0 < len(content["results"]) < 12
        assert {entry["code"] for entry in content["errors"]} == {3}
    else:
        assert content == {"old": True}
    assert Path("names").read_text().split() == ["f.json"]


@pytest.mark.faults
def test_images_that_do_not_fit_are_told_and_none_is_half(words: list[str], folder: Path) -> None:
    command = cvrun(*words, "--save", "disk/", "--crops", "disk/crops", "--format", "jsonl", "set")
    done = mounts.within(_SMALL.format(size=64), command, "cp -r disk saved")
    assert done.code == 3
    assert "_onnx.png: No space left on device" in done.err
    written = [path for path in Path("saved").rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert path.name[0] != ".", "nothing is left of what did not fit"
        assert cv2.imread(str(path)) is not None, path
    results = [json.loads(line) for line in done.out.splitlines()]
    assert sum("detections" in entry for entry in results) == 12, "the results are on standard output"


# --- standard output


@_FULL_STDOUT
@pytest.mark.parametrize(
    "form",
    [
        "jsonl",
        pytest.param("json", marks=pytest.mark.faults),
        pytest.param("csv", marks=pytest.mark.faults),
        pytest.param("coco", marks=pytest.mark.faults),
        pytest.param("table", marks=pytest.mark.faults),
    ],
)
def test_a_full_disk_behind_standard_output(words: list[str], form: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(cvrun(*words, "--format", form, "set"), stdout=full)
    assert done.code == 3
    assert "error: set/00.png: cannot write the results to standard output: No space left" in done.err or form == "coco"
    assert "standard output: No space left on device\n  Free some space there" in done.err
    assert "internal error" not in done.err


@pytest.mark.faults
@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "coco", "table"])
def test_a_reader_that_leaves_ends_the_run_quietly(words: list[str], form: str) -> None:
    program = cvrun(*words, "--format", form, "set")
    done = run(["bash", "-c", '"$@" | true; echo ${PIPESTATUS[0]}', "bash", *program])
    assert (done.out, done.err) == ("0\n", "")


@pytest.mark.faults
def test_a_document_is_whole_though_the_reader_of_the_table_left(words: list[str]) -> None:
    program = cvrun(*words, "-o", "f.json", "set")
    done = run(["bash", "-c", '"$@" | true', "bash", *program])
    assert done.err == ""
    content = json.loads(Path("f.json").read_text())
    assert content["results"][0]["source"] == "set/00.png"
    assert content["errors"] == []


# --- files that may not grow


def limit(size: int) -> Any:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.faults
def test_results_that_may_not_grow_are_made_again(words: list[str]) -> None:
    command = cvrun(*words, "-o", "f.jsonl", "--resume", "set")
    done = run(command, preexec_fn=limit(9000))
    assert done.code == 3
    assert "cannot write f.jsonl: File too large\n  Files may not grow larger here (ulimit -f" in done.err
    assert 0 < json.loads(Path("f.jsonl.run.json").read_text())["done"] < 12
    assert run(command).code == 0
    assert without_times(Path("f.jsonl").read_text()) == undisturbed(words)


@pytest.mark.faults
@pytest.mark.parametrize("size", [3000, 100_000, 2_000_000])
def test_an_export_that_may_not_grow(nano_artifact: Any, folder: Path, size: int) -> None:
    shutil.copytree(nano_artifact.onnx.parents[2] / "artifacts", "out", symlinks=True)
    before = (folder / "out/yolox/SHA256SUMS").read_bytes()
    done = run(cvexport(*export_words(nano_artifact, "out")), preexec_fn=limit(size))
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: cannot write to out: File too large")
    assert "\n  Raise the limit on the size of files (ulimit -f)" in done.err
    assert (folder / "out/yolox/SHA256SUMS").read_bytes() == before
    verify_sums(folder / "out/yolox")
    assert list((folder / "out/.staging").iterdir()) == []


# --- exports to full and to read-only disks


@pytest.mark.faults
@pytest.mark.parametrize("size", [4400, 6000])
def test_an_export_to_a_full_disk(nano_artifact: Any, folder: Path, size: int) -> None:
    """There is room for one artifact, and for a part of another."""
    mounting = f"{_SMALL.format(size=size)} && cp -a {nano_artifact.onnx.parents[2]}/artifacts/. disk"
    after = "cp -a disk there && rm -r disk/* && ls -A disk/.staging > left"
    done = mounts.within(mounting, cvexport(*export_words(nano_artifact, "disk")), after)
    assert (done.code, done.out) == (4, "")
    assert done.err == (
        "error: no space left on the disk of disk\n  Free some space there, or choose another folder with --output.\n"
    )
    assert [check.problems for check in verify_artifact(folder / "there/yolox")] == [()] * 6
    assert (folder / "there/yolox/yolox.onnx").read_bytes() == nano_artifact.onnx.read_bytes()
    assert Path("left").read_text() == ""


def test_read_only_folders(nano_artifact: Any, words: list[str], folder: Path) -> None:
    """A mount: root may write whatever permissions say."""
    (folder / "disk").mkdir()
    export = cvexport(*export_words(nano_artifact, "disk"))
    done = mounts.within(_READ_ONLY, export)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: cannot write to disk: Read-only file system")
    done = mounts.within(_READ_ONLY, cvrun(*words, "-o", "disk/f.jsonl", "set"))
    assert (done.code, done.out) == (3, "")
    assert done.err == "error: cannot write disk/f.jsonl: Read-only file system\n  Choose another place.\n"
    assert list((folder / "disk").iterdir()) == []


@pytest.mark.faults
def test_images_to_a_read_only_folder(words: list[str], folder: Path) -> None:
    (folder / "disk").mkdir()
    done = mounts.within(_READ_ONLY, cvrun(*words, "--save", "disk/", "--format", "jsonl", "set"))
    assert done.code == 3
    assert done.err.count("_onnx.png: Read-only file system") == 12
    assert sum("detections" in line for line in done.out.splitlines()) == 12


@pytest.mark.faults
def test_a_cache_that_cannot_be_written_is_no_error(words: list[str], folder: Path) -> None:
    (folder / "disk").mkdir()
    expected = undisturbed(words)
    command = ["env", f"XDG_CACHE_HOME={folder / 'disk'}", *cvrun(*words, "--format", "jsonl", "set")]
    done = mounts.within(_READ_ONLY, command)
    assert done.code == 0, done.err
    assert without_times(done.out) == expected
