"""Pictures, and exported files that are wrong."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from cvport.exporters.gate.probes import scene
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.seal import KEY


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Eleven of different sizes; the small network finds several things in each at a threshold of 0.15."""
    return [scene(60 + 37 * (i % 5), 200 - 23 * (i % 7), seed=i) for i in range(11)]


@pytest.fixture
def write_picture(tmp_path: Path) -> Callable[..., Path]:
    """``write_picture("a/b.png")`` draws a picture there; *seed* and *size* choose another one."""

    def write(name: str = "a.png", seed: int = 0, size: tuple[int, int] = (90, 120)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(path.suffix, scene(*size, seed=seed))
        assert done
        path.write_bytes(data.tobytes())
        return path

    return write


@pytest.fixture
def nan_artifact(nano_artifact: Any, tmp_path: Path) -> Path:
    """The small network with one weight that is not a number."""
    import onnx
    from onnx import numpy_helper

    from helpers.gate import with_digest

    model = onnx.load(nano_artifact.onnx)
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path = tmp_path / "nan.onnx"
    path.write_bytes(with_digest(model))
    return path


@pytest.fixture
def with_seal(nano_artifact: Any, tmp_path: Path) -> Callable[..., Path]:
    """``with_seal(text)`` is the small network with that metadata, None for none; keywords change the true seal."""

    def make(text: str | None = None, **changes: Any) -> Path:
        import onnx

        model = onnx.load(nano_artifact.onnx)
        (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
        if changes:
            entry.value = json.dumps(json.loads(entry.value) | changes)
        elif text is None:
            entry.key = "foreign"
        else:
            entry.value = text
        path = tmp_path / "resealed.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        return path

    return make


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts() -> Iterator[None]:
    """A process that was started in the background may have inherited that Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """``invoke(command, "--option", path)`` runs a command in this process; it may not show a traceback."""

    def invoke(command: Any, *args: object) -> Done:
        capsys.readouterr()
        code = run_command(command, [str(arg) for arg in args])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)

    return invoke
