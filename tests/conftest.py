"""Fixtures that several folders share: recorded results of the original implementations, an exported network."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from helpers.goldens import Golden, load_golden, load_golden_yolox
from helpers.shared import ground_truth

# Property tests try the same examples in every run, and keep none.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")

# A torch_npu that lacks CANN breaks every plain `import torch`, unless torch is told not to load it.
if importlib.util.find_spec("torch_npu") is not None:
    os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache as it is: commands and tests have one of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


# What takes longest begins first, so that no process is left alone with it in the end.
_LONG = ("exporters", "test_docs.py", "test_readme.py", "test_real_weights.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order within a file stays."""
    items.sort(key=lambda item: not any(part in item.path.parts for part in _LONG))


@pytest.fixture(autouse=True)
def _logging_as_at_first() -> Iterator[None]:
    """Commands set up logging for the whole process, in fixtures of a module too: put it back."""
    _reset_logging()
    yield
    _reset_logging()


def _reset_logging() -> None:
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("cvport").setLevel(logging.NOTSET)
    for handler in root.handlers[:]:
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the ground truth."""
    return ground_truth()


@pytest.fixture(scope="session")
def real() -> Path:
    """Trained weights, photos, and what the original runtimes find in them."""
    return ground_truth("real")


@pytest.fixture(scope="session")
def golden_yolox() -> Callable[..., Golden]:
    """``golden_yolox(config, seed)``."""
    return load_golden_yolox


@pytest.fixture(scope="session")
def golden_nanodet() -> Golden:
    """Three classes, seed 0, 320x320."""
    return load_golden("nanodet")


@pytest.fixture(scope="session")
def golden_landmarks68() -> Golden:
    """300W, seed 0."""
    return load_golden("landmarks68", "golden_small_seed0.npz")


@pytest.fixture
def no_torch_npu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without torch_npu, also where it is installed; in this process alone."""
    versions = importlib.metadata.version

    def version(package: str) -> str:
        if package.replace("-", "_") == "torch_npu":
            raise importlib.metadata.PackageNotFoundError(package)
        return versions(package)

    monkeypatch.setitem(sys.modules, "torch_npu", None)
    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.fixture
def npu() -> Iterator[Any]:
    """A machine with one simulated Ascend device; its knobs may be turned, see tests/npu_sim/machine.py."""
    import npu_sim

    reason = npu_sim.why_not()
    if reason:
        pytest.skip(reason)
    with npu_sim.plug_in() as machine:
        yield machine


# Names a folder that has the export already, for environments that cannot make one.
NANO_VARIABLE = "CVPORT_TEST_NANO"


class NanoArtifact(NamedTuple):
    """A small network that was exported, and where it came from."""

    onnx: Path
    weights: Path


def export_nano(folder: Path, batch: str | int = "dynamic", side: int = 160, form: str = "raw") -> NanoArtifact:
    """Export Megvii's nano with made-up weights, 3 classes, at 160x160 or another size.

    The plain one is taken from what `NANO_VARIABLE` names, where it names something.
    """
    plain = (batch, side, form) == ("dynamic", 160, "raw")
    if plain and (ready := os.environ.get(NANO_VARIABLE)):
        shutil.copytree(ready, folder, dirs_exist_ok=True)
        return NanoArtifact(folder / "artifacts/yolox/yolox.onnx", folder / "nano.pth")
    import torch

    import cvport
    from cvport.models.yolox.spec import SPEC
    from helpers.yolox import megvii_variant

    state = SPEC.seeded(0, megvii_variant("nano", 3))
    weights = folder / "nano.pth"
    torch.save({"model": {key: torch.from_numpy(value) for key, value in state.items()}}, weights)
    # Nothing is left to a guess, which every run would tell.
    options = cvport.VariantOptions(input_size=(side, side), preprocess="megvii", activation="silu")
    settings = {"options": options, "output": folder / "artifacts", "batch": batch, "form": form}
    artifact = cvport.export("yolox", weights=weights, **settings)
    return NanoArtifact(artifact.onnx, weights)


@pytest.fixture(scope="session")
def nano_artifact(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """Do not write to its folder."""
    return export_nano(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="session")
def nano_416(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """The same network at the size that nano was trained at."""
    return export_nano(tmp_path_factory.mktemp("nano_416"), side=416)


@pytest.fixture(scope="session")
def nano_decoded(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """The same network in a file that gives boxes and scores."""
    return export_nano(tmp_path_factory.mktemp("nano_decoded"), form="decoded")


@pytest.fixture(scope="session")
def nano_e2e(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """The same network in a file that suppresses inside."""
    return export_nano(tmp_path_factory.mktemp("nano_e2e"), form="e2e")


@pytest.fixture(scope="session")
def nano_batch_2(tmp_path_factory: pytest.TempPathFactory) -> NanoArtifact:
    """The same network in a file that takes two pictures at a time."""
    return export_nano(tmp_path_factory.mktemp("nano_batch_2"), batch=2)
