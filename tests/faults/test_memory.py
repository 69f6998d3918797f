"""An allocation that fails, in every stage of a run and of an export; a backend that raises within a batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cvport.exporters import export as export_module
from cvport.exporters.commands.cvexport import cvexport
from cvport.runtimes.backends.onnx import OnnxBackend
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.kinds import drawing
from cvport.runtimes.predictor import Predictor
from cvport.runtimes.sinks.json_lines import JsonLinesSink
from cvport.runtimes.sources import files
from faults.programs import without_times

NUMBERS = [f"set/{number:02d}.png" for number in range(12)]
FIFTH = NUMBERS[4]


def no_memory_in_cv2() -> cv2.error:
    """Return the error of an allocation in OpenCV, which is none of Python's."""
    try:
        cv2.resize(np.zeros((9, 9, 3), np.uint8), (2**30, 2**10))
    except cv2.error as error:
        return error
    raise AssertionError("a machine of so much memory is not known")


class Fifth:
    """Fails in its fifth call."""

    def __init__(self, call: Callable[..., Any], error: BaseException) -> None:
        self.call, self.error, self.calls = call, error, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == 5:
            raise self.error
        return self.call(*args, **options)


@pytest.fixture
def run(invoke, folder, nano_artifact, monkeypatch):
    """``run(*words)`` over the folder, one picture at a time unless other words say otherwise."""
    fixed = ["-q", "-m", nano_artifact.onnx, "--backend", "onnx", "--conf", "0.01", "-o", "f.jsonl"]
    one = ["--workers", "1", "--batch-size", "1"]

    def run(*words: object, singly: bool = True) -> Any:
        return invoke(cvrun, *fixed, *(one if singly else []), *words, "set")

    run("-o", "whole.jsonl")
    return run


def entries(name: str = "f.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def plant(monkeypatch: pytest.MonkeyPatch, stage: str, error: BaseException) -> None:
    """Let the fifth call of a stage fail."""
    places: dict[str, tuple[object, str]] = {
        "read": (files, "read_image"),
        "network": (OnnxBackend, "run"),
        "draw": (drawing, "draw"),
        "encode": (cv2, "imencode"),
        "result": (JsonLinesSink, "write"),
    }
    if stage in places:
        holder, name = places[stage]
        fifth = Fifth(getattr(holder, name), error)

        def called(*args: Any, **options: Any) -> Any:  # a method too, which an object is not
            return fifth(*args, **options)

        monkeypatch.setattr(holder, name, called)
        return
    make = Predictor.__init__

    def planted(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        setattr(self, f"_{stage}", Fifth(getattr(self, f"_{stage}"), error))

    monkeypatch.setattr(Predictor, "__init__", planted)


@pytest.mark.parametrize(
    ("stage", "words"), [("read", []), ("preprocess", []), ("draw", ["--save", "out/"]), ("encode", ["--save", "out/"])]
)
@pytest.mark.parametrize("make", [MemoryError, pytest.param(no_memory_in_cv2, marks=pytest.mark.faults)])
def test_one_picture_is_lost(run: Any, monkeypatch: pytest.MonkeyPatch, stage: str, words: Sequence[str], make: Any):
    plant(monkeypatch, stage, make())
    done = run(*words)
    assert done.code == 3
    assert f"error: {FIFTH}: " in done.err or f"cannot read {FIFTH}" in done.err
    assert "emory" in done.err
    failed = [entry["source"] for entry in entries() if "error" in entry]
    assert failed == [FIFTH]
    good = [entry["source"] for entry in entries() if "detections" in entry]
    drawn = stage in ("draw", "encode")
    assert good == [name for name in NUMBERS if drawn or name != FIFTH], "all others are there"
    if drawn:
        written = sorted(path.name for path in Path("out").iterdir())
        assert written == [f"{number:02d}_onnx.png" for number in range(12) if number != 4]


def ended_in_order(done: Any, least: int) -> None:
    """Assert that at least so much was done and is there whole, and that there is no traceback."""
    assert done.code in (1, 3, 4), done.err
    assert "error" in done.err
    good = [entry["source"] for entry in entries() if "detections" in entry]
    wanted = NUMBERS if done.code == 3 else NUMBERS[: len(good)]
    assert good == [name for name in wanted if name in good]
    assert len(good) >= least
    assert done.code != 3 or len(good) >= 10


@pytest.mark.parametrize("stage", ["network", "postprocess", "result"])
@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_no_memory_in_a_run_costs_one_picture_at_most(
    run: Any, monkeypatch: pytest.MonkeyPatch, stage: str, size: int
) -> None:
    """A batch for which there is no memory is run again, picture by picture."""
    plant(monkeypatch, stage, MemoryError())
    done = run("--batch-size", size)
    lost = size == 1 or stage == "result"
    assert done.code == (3 if lost else 0), done.err
    assert ("not enough memory" in done.err) == lost
    good = [entry["source"] for entry in entries() if "detections" in entry]
    assert good == [name for name in NUMBERS if not lost or name != FIFTH]


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.faults), 2])
def test_a_backend_that_raises_in_the_middle_of_a_batch(run: Any, monkeypatch: pytest.MonkeyPatch, workers: int):
    class Session:
        """A session that runs, and whose runtime gives up in the third batch."""

        def __init__(self, session: Any) -> None:
            self.run = Fifth(
                session.run, RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : out of luck\nmore")
            )
            self.run.calls = 2

    make = OnnxBackend.__init__

    def opened(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self._session = Session(self._session)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxBackend, "__init__", opened)
        done = run("--workers", workers, "--batch-size", 3, singly=False)
    assert "RUNTIME_EXCEPTION : out of luck" in done.err
    assert "more" not in done.err
    # Of two threads the one with the second batch may be the third to run.
    ended_in_order(done, 6 if workers == 1 else 3)
    assert run("--resume").code in (0, 3)
    if done.code != 3:
        assert without_times(Path("f.jsonl").read_text()) == without_times(Path("whole.jsonl").read_text())


STEPS = ["prepare_network", "make_probe", "make_onnx", "make_reference", "verify_file", "report_files", "publish"]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("step", "error"),
    [
        *((step, MemoryError()) for step in STEPS),
        ("make_reference", RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")),
    ],
)
def test_an_export_without_memory(invoke: Any, nano_artifact: Any, tmp_path: Path, step: str, error: Exception) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    words = ["--input-size", "160", "--preprocess", "megvii", "--activation", "silu", "-o", tmp_path / "out", "-q"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, step, fail)
        done = invoke(cvexport, "yolox", "--weights", nano_artifact.weights, *words)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: there is not enough memory to export yolox\n  End other programs")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".staging"]
    assert not (tmp_path / "out/yolox").exists()
    assert list((tmp_path / "out/.staging").iterdir()) == []
