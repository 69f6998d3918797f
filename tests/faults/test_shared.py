"""Several processes in one place: exports of one model, caches of digests and of hubs; and clocks that jump."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from cvport.exporters.verify import verify_artifact
from cvport.runtimes import digests
from cvport.runtimes.digests import cached_digest
from faults.programs import cvexport, cvrun, run, without_times
from helpers.hub_server import HubServer

PROCESSES = 4
# Goes back by an hour and then forth by two, in each process that is started with it.
_CLOCK = """
import itertools, time
clock, offsets = time.time, itertools.cycle([0, -3600, 3600])
time.time = lambda: clock() + next(offsets)
"""
# Asks for the digests of some files over and over, in an order of its own; what it gets has to be right.
_DIGESTS = """
import hashlib, pathlib, random, sys
from cvport.runtimes.digests import cached_digest
def digest(path): return hashlib.sha256(path.read_bytes()).hexdigest()
chance, files = random.Random(sys.argv[1]), sorted(pathlib.Path(sys.argv[2]).iterdir())
for _ in range(300):
    path = chance.choice(files)
    assert cached_digest(path, digest) == digest(path), path
"""
_DOWNLOAD = """
import pathlib, sys
from cvport.models.weights.hub import HubAddress, download
folder = download(HubAddress.parse(sys.argv[1]), cache_dir=pathlib.Path(sys.argv[2]))
print(folder / "model.safetensors")
"""


def started(commands: list[list[str]], **environ: str) -> list[tuple[int, str, str]]:
    """Run commands at the same time; return exit code, stdout and stderr of each."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    running = [subprocess.Popen(command, env=environment, **streams) for command in commands]
    return [(child.wait(), *told) for child in running for told in [child.communicate(timeout=300)]]


# --- exports


@pytest.mark.faults
def test_two_exports_of_one_model_at_the_same_time(nano_artifact: Any, tmp_path: Path) -> None:
    words = ["--preprocess", "megvii", "--activation", "silu", "-q", "-o", str(tmp_path / "out")]
    sizes = ("160", "192")
    commands = [cvexport("yolox", "--weights", nano_artifact.weights, "--input-size", size, *words) for size in sizes]
    assert [code for code, _, _ in started(commands)] == [0, 0]
    assert [check.problems for check in verify_artifact(tmp_path / "out/yolox")] == [()] * 6
    generations = list((tmp_path / "out/.store").iterdir())
    assert len(generations) == 2, "the other is the one before"
    found = set()
    for place in generations:
        assert [check.problems for check in verify_artifact(place)] == [()] * 6
        found.add(tuple(json.loads((place / "parity.json").read_text())["seal"]["input_size"]))
    assert found == {(160, 160), (192, 192)}
    assert list((tmp_path / "out/.staging").iterdir()) == []


@pytest.mark.faults
def test_an_export_by_a_clock_that_jumps(nano_artifact: Any, tmp_path: Path) -> None:
    words = ["--input-size", "160", "--preprocess", "megvii", "--activation", "silu", "-q", "-o", str(tmp_path / "out")]
    command = cvexport("yolox", "--weights", nano_artifact.weights, *words)
    command[2] = _CLOCK + command[2]
    for _ in range(2):
        assert run(command)[::2] == (0, "")
    assert [check.problems for check in verify_artifact(tmp_path / "out/yolox")] == [()] * 6
    assert (tmp_path / "out/yolox/yolox.onnx").read_bytes() == nano_artifact.onnx.read_bytes()


# --- runs


@pytest.mark.faults
def test_a_run_that_goes_on_by_a_clock_that_jumps(nano_artifact: Any, folder: Path) -> None:
    words = ["-q", "-m", nano_artifact.onnx, "--backend", "onnx", "--conf", "0.01", "-o"]
    assert run(cvrun(*words, "whole.jsonl", "set")).code == 0
    assert run(cvrun(*words, "f.jsonl", "set")).code == 0
    state = json.loads(Path("f.jsonl.run.json").read_text())
    lines = Path("f.jsonl").read_bytes().splitlines(keepends=True)
    Path("f.jsonl.run.json").write_text(
        json.dumps({**state, "done": 5, "size": len(b"".join(lines[:5])), "last": "set/04.png"})
    )
    day_after_tomorrow = time.time() + 48 * 3600
    for name in ("f.jsonl", "f.jsonl.run.json", "set/00.png"):
        os.utime(name, (day_after_tomorrow, day_after_tomorrow))
    command = cvrun(*words, "f.jsonl", "--resume", "set")
    command[2] = _CLOCK + command[2]
    assert run(command).code == 0
    text = Path("f.jsonl").read_text()
    assert without_times(text) == without_times(Path("whole.jsonl").read_text())
    assert '"timing_ms": {"preprocess": -' not in text


# --- caches


def settled(path: Path, content: bytes, age: float = 100) -> Path:
    path.write_bytes(content)
    written = time.time() - age
    os.utime(path, (written, written))
    return path


@pytest.mark.faults
def test_a_cache_of_digests_shared_by_four_processes(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number in range(20):
        settled(tmp_path / f"files/{number}.onnx", b"%d" % number * 1000)
    commands = [[sys.executable, "-c", _DIGESTS, str(seed), str(tmp_path / "files")] for seed in range(PROCESSES)]
    for code, _, err in started(commands, XDG_CACHE_HOME=str(tmp_path / "cache")):
        assert code == 0, err
    place = tmp_path / "cache/cvport/digests.json"
    assert [path.name for path in place.parent.iterdir()] == ["digests.json"], "nothing partial is left"
    kept = json.loads(place.read_text())["files"]
    assert len(kept) > 10
    for name, record in kept.items():
        assert record[-1] == hashlib.sha256(Path(name).read_bytes()).hexdigest()


@pytest.mark.parametrize("offset", [-3600.0, 3600.0])
def test_digests_by_a_clock_that_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    """Set back, files seem to be of the future; set ahead, a file that was just written seems to be old."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clock = time.time
    monkeypatch.setattr(digests.time, "time", lambda: clock() + offset)
    path = tmp_path / "a.onnx"
    for content in ("one", "two", "six"):  # of one size
        path.write_text(content)
        assert cached_digest(path, Path.read_text) == content
        assert cached_digest(path, Path.read_text) == content


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.faults
@pytest.mark.parametrize(("scheme", "package"), [("hf", "huggingface_hub"), ("ms", "modelscope_hub")])
def test_a_cache_of_a_hub_shared_by_four_processes(hub: HubServer, tmp_path: Path, scheme: str, package: str) -> None:
    pytest.importorskip(package)
    content = save({"weight": np.arange(500_000, dtype=np.float32)})
    hub.publish("org/model", {"model.safetensors": content, "config.json": b'{"CLASSES": ["paw"]}'})
    environ = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf_home"),
        "MODELSCOPE_ENDPOINT": hub.url,
        "MODELSCOPE_HOME": str(tmp_path / "ms_home"),
        "MODELSCOPE_CACHE": str(tmp_path / "ms_cache"),
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    command = [sys.executable, "-c", _DOWNLOAD, f"{scheme}:org/model", str(tmp_path / "cache")]
    for code, out, err in started([command] * PROCESSES, **environ):
        assert code == 0, err
        assert Path(out.strip()).read_bytes() == content
    assert list((tmp_path / "cache").rglob("*.incomplete")) == []
