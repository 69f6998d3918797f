"""Fifty random kills of exports, and fifty of runs over a folder that are gone on with."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cvport.exporters.gate.probes import scene
from cvport.exporters.publish import publish, stage
from cvport.exporters.verify import verify_artifact
from cvport.models.yolox.spec import SPEC
from faults.programs import cvexport, cvrun, kill_after, run, without_times
from helpers.yolox import megvii_variant

pytestmark = pytest.mark.faults

KILLS, WHOLE_EXPORTS = 50, 6
IMAGES = 60
# Publishes one of two artifacts after the other, as fast as it can.
_PUBLISHER = """
import pathlib, shutil, sys
from cvport.exporters.publish import publish, stage
output, *artifacts = map(pathlib.Path, sys.argv[1:])
while True:
    for artifact in artifacts:
        with stage(output, "yolox") as staging:
            for path in artifact.iterdir():
                if path.name != "SHA256SUMS":
                    shutil.copy2(path, staging / path.name)
            publish(staging, output, "yolox")
        print("published", flush=True)
"""


def seeded_weights(folder: Path, seed: int) -> Path:
    state = SPEC.seeded(seed, megvii_variant("nano", 3))
    path = folder / f"nano-{seed}.pth"
    torch.save({"model": {key: torch.from_numpy(value) for key, value in state.items()}}, path)
    return path


def export_command(weights: Path, output: Path) -> list[str]:
    words = ["--input-size", "160", "--preprocess", "megvii", "--activation", "silu", "-q", "-o", str(output)]
    return cvexport("yolox", "--weights", weights, *words)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of two artifacts of one name, exported from different weights."""
    folder = tmp_path_factory.mktemp("two")
    for seed in (1, 2):
        assert run(export_command(seeded_weights(folder, seed), folder / str(seed))).code == 0
    return [(folder / str(seed) / "yolox").resolve() for seed in (1, 2)]


def published(output: Path) -> bytes:
    """Return the sums of what is published, which is whole in every way that `cvexport verify` looks at."""
    assert [check.problems for check in verify_artifact(output / "yolox")] == [()] * 6
    return (output / "yolox" / "SHA256SUMS").read_bytes()


def assert_cleaned_by_the_next(output: Path, artifact: Path) -> None:
    with stage(output, "yolox") as staging:
        for path in artifact.iterdir():
            shutil.copy2(path, staging / path.name)
        publish(staging, output, "yolox")
    assert list((output / ".staging").iterdir()) == []
    assert len(list((output / ".store").iterdir())) <= 2


def test_an_export_that_is_killed_while_it_publishes(artifacts: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "artifacts"
    chance = random.Random(20)
    known = {(artifact / "SHA256SUMS").read_bytes() for artifact in artifacts}
    seen, left = set(), 0
    for _ in range(KILLS - WHOLE_EXPORTS):
        command = [sys.executable, "-c", _PUBLISHER, output, *artifacts]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0, 0.2))
            child.kill()
        assert child.returncode == -9
        left += any((output / ".staging").iterdir())
        assert published(output) in known
        seen.add(published(output))
        run_after = artifacts[chance.randrange(2)]
        assert_cleaned_by_the_next(output, run_after)
        assert published(output) == (run_after / "SHA256SUMS").read_bytes()
    assert seen == known, "the kills fell into both"
    assert left > 5, "the kills fell into the work"


def test_a_whole_export_that_is_killed(artifacts: list[Path], tmp_path: Path) -> None:
    output, weights = tmp_path / "artifacts", seeded_weights(tmp_path, 2)
    assert_cleaned_by_the_next(output, artifacts[0])
    old = (output / "yolox/yolox.onnx").read_bytes()
    command = export_command(weights, output)
    start = time.monotonic()
    assert run(command).code == 0
    lasts = time.monotonic() - start
    published(output)
    new = (output / "yolox/yolox.onnx").read_bytes()
    assert new != old
    chance = random.Random(6)
    killed = 0
    for number in range(WHOLE_EXPORTS):
        assert_cleaned_by_the_next(output, artifacts[0])
        # One in each part of the time that a whole export takes.
        killed += kill_after(command, lasts * chance.uniform(number, number + 1) / WHOLE_EXPORTS, tmp_path)
        published(output)
        assert (output / "yolox/yolox.onnx").read_bytes() in (old, new)
    assert killed >= WHOLE_EXPORTS - 2
    assert run(command).code == 0
    assert (output / "yolox/yolox.onnx").read_bytes() == new
    assert list((output / ".staging").iterdir()) == []
    assert not (output / "rejected").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, one of them broken."""
    (tmp_path / "set").mkdir()
    for number in range(IMAGES):
        Image.fromarray(scene(60, 80, seed=number)).save(tmp_path / f"set/{number:02d}.png")
    (tmp_path / "set/07.png").write_bytes(b"no image")
    return tmp_path


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(nano_artifact: Any, folder: Path) -> None:
    words = ["-q", "-m", nano_artifact.onnx, "--backend", "onnx", "--conf", "0.01", "--format", "jsonl"]
    start = time.monotonic()
    assert run(cvrun(*words, "-o", "whole.jsonl", "set"), cwd=folder).code == 3
    lasts = time.monotonic() - start
    whole = without_times((folder / "whole.jsonl").read_text())
    assert len(whole.splitlines()) == IMAGES
    chance = random.Random(50)
    place = folder / "f.jsonl"
    kills, runs, within = 0, 0, 0
    while kills < KILLS:
        runs += 1
        # Sometimes there are the results of a run that had ended: it is begun anew.
        if runs % 2:
            for path in folder.glob("*f.jsonl*"):
                path.unlink()
        again = ["--resume"] * (runs % 4 != 2)
        for number in range(20):
            command = cvrun(*words, *(again if number == 0 else ["--resume"]), "-o", place.name, "set")
            if not kill_after(command, chance.uniform(0.2, 0.9) * lasts, folder):
                break
            kills += 1
            within += place.exists() and 0 < len(place.read_bytes().splitlines()) < IMAGES
        done = run(cvrun(*words, "--resume", "-o", place.name, "set"), cwd=folder)
        if "was changed since" in done.err:  # begun anew and killed after its first result, before that was noted
            done = run(cvrun(*words, "-o", place.name, "set"), cwd=folder)
        assert done.code in (0, 3), done.err
        assert without_times(place.read_text()) == whole, f"run {runs}"
        names = {path.name for path in folder.iterdir() if "f.jsonl" in path.name}
        assert names == {"f.jsonl", "f.jsonl.run.json"}, "nothing of the killed runs is left"
    assert runs > 5
    assert within > 10, "the kills fell into the work"
