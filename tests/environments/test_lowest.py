"""Other versions than the pinned ones: the lowest, both generations of OpenCV, later Pythons; none with torch.

Each runs the tests that need the base install alone, and all five exported files, whose results are compared with
those of the environment that exported them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

import cvport
from cvport.exporters.gate.probes import scene
from helpers.distributions import ROOT, Environment, has_python

pytestmark = pytest.mark.lowest

WEIGHTS = {
    "yolox": "sample",
    "nanodet": "seeded",
    "hand_static": "seeded",
    "landmarks68": "seeded",
    "emotion": "seeded",
}
# The results of these environments may differ by as much as those of two backends may (parity.json, beside each file).
# But before version 13, Pillow rounded some pixels of an enlarged or reduced image to the next grey level.
PILLOW_BEFORE_13 = {"hand_static": "decoded:prob=0.01", "emotion": "decoded:prob=0.01"}
# A folder with artifacts, NAME/NAME.onnx, that is used instead of exporting them.
READY = os.environ.get("CVPORT_TEST_ARTIFACTS")


class Kind(NamedTuple):
    """An environment.

    Attributes:
        constraints: Its file of versions.
        opencv: The version of OpenCV, where it is not the one of the file.
        python: The interpreter.
        tolerances: What results of a model may differ by, where that is not what the gate allowed.

    """

    constraints: str
    opencv: str = ""
    python: str = sys.executable
    tolerances: dict[str, str] = {}  # noqa: RUF012


KINDS = {
    "lowest": Kind("constraints-lowest.txt", tolerances=PILLOW_BEFORE_13),
    "opencv4": Kind("constraints.txt", opencv="4.*"),
    "opencv5": Kind("constraints.txt", opencv="5.*"),
    "python3.12": Kind("constraints.txt", python="python3.12"),
    "python3.13": Kind("constraints.txt", python="python3.13"),
    "python3.14": Kind("constraints.txt", python="python3.14"),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> Kind:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def environment(kind, wheel, tmp_path_factory) -> Iterator[Environment]:
    if not has_python(kind.python):
        pytest.skip(f"there is no {kind.python} on this machine")
    folder = tmp_path_factory.mktemp("environment")
    pins = (ROOT / kind.constraints).read_text(encoding="utf-8")
    if kind.opencv:
        pins = re.sub(r"(?m)^opencv-python-headless==.*", f"opencv-python-headless=={kind.opencv}", pins)
    (folder / "constraints.txt").write_text(pins)
    packages = ["-c", folder / "constraints.txt", wheel, "pytest", "hypothesis"]
    yield Environment(folder / "venv", kind.python, packages)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> Path:
    """All five models, exported here."""
    if READY:
        return Path(READY).absolute()
    folder = tmp_path_factory.mktemp("artifacts")
    for name, weights in WEIGHTS.items():
        cvport.export(name, weights=weights, output=folder)
    return folder


class Found(NamedTuple):
    """What this environment finds.

    Attributes:
        pictures: In these; they have different sizes, none of them that of a network.
        results: A file for each model.

    """

    pictures: list[Path]
    results: dict[str, Path]


@pytest.fixture(scope="module")
def found(artifacts, tmp_path_factory) -> Found:
    folder = tmp_path_factory.mktemp("found")
    pictures = [folder / f"{number}.png" for number in range(3)]
    for number, size in enumerate([(90, 120), (480, 640), (333, 217)]):
        cv2.imwrite(str(pictures[number]), scene(*size, seed=number))
    paths = {name: folder / f"{name}.json" for name in WEIGHTS}
    for name, path in paths.items():
        with cvport.load(artifacts / name / f"{name}.onnx", backend="onnx") as predictor:
            results = [{"source": str(picture), **predictor(picture).to_dict()} for picture in pictures]
        content = {"schema_version": 1, "model": name, "backend": "onnx", "device": "cpu", "results": results}
        path.write_text(json.dumps(content))
    return Found(pictures, paths)


def test_versions_are_those_that_were_asked_for(environment, kind, tmp_path):
    code = "import sys, cv2; print(cv2.__version__, sys.version)"
    done = environment.run("python", "-c", code, cwd=tmp_path)
    opencv, python = done.stdout.split()[:2]
    assert re.match(kind.opencv.replace("*", "") or r"[45]\.", opencv)
    assert kind.python == sys.executable or python.startswith(kind.python.removeprefix("python"))
    listed = environment.run("python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path).stdout.lower().splitlines()
    assert not {"torch", "onnx"} & {line.partition("==")[0] for line in listed}
    if kind.constraints == "constraints-lowest.txt":
        pins = (ROOT / kind.constraints).read_text().splitlines()
        assert set(pins[1:]) <= set(listed)


def test_tests_that_need_the_base_install_alone(environment, nano_artifact, tmp_path):
    paths = [line for line in (ROOT / "tests/environments/lean.txt").read_text().splitlines() if line[0] != "#"]
    folder = nano_artifact.weights.parent
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests", *paths]
    done = environment.run("python", *command, cwd=ROOT, CVPORT_TEST_NANO=str(folder))
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 1000


@pytest.mark.parametrize("name", WEIGHTS)
def test_exported_files_give_their_expected_values(environment, artifacts, name, tmp_path):
    done = environment.run("cvrun", "check", artifacts / name / f"{name}.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", WEIGHTS)
def test_results_are_those_of_the_environment_that_exported(environment, kind, artifacts, found, name):
    file = artifacts / name / f"{name}.onnx"
    tolerance = [f"--tolerance={kind.tolerances[name]}"] if name in kind.tolerances else []
    command = ["compare", "-m", file, "--backend", "onnx", "--against", found.results[name], *tolerance]
    done = environment.run("cvrun", *command, *found.pictures, cwd=found.pictures[0].parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"passed: {len(found.pictures)} images" in done.stdout + done.stderr
