"""Publishing, with a crash or an error of the disk at each of its file operations in turn."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cvport.errors import ArtifactError
from cvport.exporters.publish import publish, reject, replace_files, stage, verify_sums
from faults import layer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]

OLD = {"model.onnx": b"old network", "parity.json": b"old figures"}
NEW = {"model.onnx": b"new network", "parity.json": b"new figures", "probes/one.png": b"picture"}
COMPLETED = {"model.onnx": b"old network", "parity.json": b"completed"}
# What a disk answers, and what is told of it.
TOLD = {
    errno.EIO: "cannot write to {output}: Input/output error",
    errno.ENOSPC: "no space left on the disk of {output}",
    errno.EROFS: "cannot write to {output}: Read-only file system",
    errno.EDQUOT: "no space left on the disk of {output}",
}


def export(output: Path, files: dict[str, bytes]) -> None:
    with stage(output, "model") as staging:
        for name, data in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(data)
        publish(staging, output, "model")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a whole artifact but its sums."""
    folder = folder.resolve(strict=True)
    verify_sums(folder)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del files["SHA256SUMS"]
    return files


def over_a_link(output: Path) -> None:
    export(output, {"model.onnx": b"to be removed"})
    export(output, OLD)


def over_a_plain_folder(output: Path) -> None:
    export(output.with_name("elsewhere"), OLD)
    shutil.copytree((output.with_name("elsewhere") / "model").resolve(), output / "model")


def publish_new(output: Path) -> None:
    export(output, NEW)


def complete(output: Path) -> None:
    replace_files(output, "model", {"parity.json": b"completed"})


def reject_new(output: Path) -> None:
    with stage(output, "model") as staging:
        (staging / "model.onnx").write_bytes(b"new network")
        reject(staging, output, "model")


# By name: what was there, what is done, what is published afterwards.
WORKS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], dict[str, bytes]]] = {
    "over-a-link": (over_a_link, publish_new, NEW),
    "over-a-plain-folder": (over_a_plain_folder, publish_new, NEW),
    "completed": (over_a_link, complete, COMPLETED),
    "rejected": (over_a_link, reject_new, OLD),
}


def points(output: Path, work: str, number: int | None, stride: int = 1) -> Counter[str]:
    """Let every so many-th operation fail; check what is there after each, and return how often work ended how."""
    before, do, after = WORKS[work]
    seen: Counter[str] = Counter()
    for at in range(1, 2000, stride):
        before(output)
        outcome = layer.run(lambda: do(output), output, at, number)
        if outcome.killed and not os.path.lexists(output / "model"):
            assert work == "over-a-plain-folder", "only there the swap takes two steps"
            assert OLD in [contents(path) for path in (output / ".store").iterdir()]
            seen["between two renames"] += 1
        else:
            there = contents(output / "model")
            assert there in (OLD, after), f"at operation {at}"
            seen["old" if there == OLD else "new"] += 1
        if outcome.error:
            assert number is not None
            assert (outcome.error, outcome.code) == ("ArtifactError", 4), f"at operation {at}: {outcome}"
            assert_told(outcome, output, number)
            seen["told"] += 1
        rejected = output / "rejected"
        for place in rejected.iterdir() if rejected.exists() else ():
            assert contents(place) == {"model.onnx": b"new network"}
        export(output, {"model.onnx": b"next"})
        assert contents(output / "model") == {"model.onnx": b"next"}
        assert list((output / ".staging").iterdir()) == [], f"what was left at operation {at} is removed"
        shutil.rmtree(output.parent)
        if not outcome.killed and outcome.steps < at:
            return seen
    raise AssertionError("there is no end of operations")


def assert_told(outcome: layer.Outcome, output: Path, number: int) -> None:
    """Assert that the cause is told; where only a look at a folder failed, that the consequence is."""
    expected = [TOLD[number].format(output=output)]
    if number == errno.EIO:
        expected += [f"cannot write to {output}: Is a directory", f"{output}/model was published anew in the meantime"]
    damaged = [f"the artifact in {output}", f"{output}"]  # `replace_files` reads what is there
    assert outcome.message.startswith((*expected, *damaged)), outcome
    if outcome.message.startswith(expected[0]):
        assert "choose another folder with --output" in outcome.hint
    elif outcome.message.startswith(damaged[0]):
        assert f": {os.strerror(number)}" in outcome.message
    assert outcome.hint


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the flushing, which no reader and no killed process can tell: these are thousands of publications."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "below" / "artifacts"


@pytest.mark.faults
@pytest.mark.parametrize("work", WORKS)
def test_a_crash_before_any_operation_leaves_one_whole_artifact(output: Path, work: str) -> None:
    seen = points(output, work, None)
    assert seen["old"] > 20
    assert seen["told"] == 0
    assert (seen["between two renames"] > 0) == (work == "over-a-plain-folder")
    if work != "rejected":
        assert seen["new"] > 1


@pytest.mark.faults
@pytest.mark.parametrize("number", TOLD, ids=errno.errorcode.get)
@pytest.mark.parametrize("work", WORKS)
def test_an_error_at_any_operation_is_told_and_leaves_one_whole_artifact(output: Path, work: str, number: int) -> None:
    seen = points(output, work, number)
    assert seen["old"] > 20
    assert seen["told"] > 20


@pytest.mark.parametrize("number", [None, errno.EIO])
def test_some_operations(output: Path, number: int | None) -> None:
    seen = points(output, "over-a-link", number, stride=11)
    assert seen["old"] > 3
    assert seen["new"] > 0
    assert (seen["told"] > 3) == (number is not None)


def test_a_file_that_is_written_half_is_the_fault_of_the_output(output: Path) -> None:
    over_a_link(output)

    def fail(error: OSError) -> None:
        with stage(output, "model"):
            raise error

    for number, step in ((errno.EIO, "The disk may be broken"), (errno.EFBIG, "Raise the limit on the size of files")):
        with pytest.raises(ArtifactError, match=f"cannot write to .*: {os.strerror(number)}") as failure:
            fail(OSError(number, os.strerror(number)))  # as a write raises it, without a name
        assert failure.value.hint.startswith(step)
    assert contents(output / "model") == OLD
