"""How a run is spread over the cores: by rule where it is clear, else measured once for a file."""

from __future__ import annotations

import json

import pytest

from cvport.runtimes import arrangement
from cvport.runtimes.arrangement import Arrangement, arrange


@pytest.fixture
def cores(monkeypatch):
    return lambda count: monkeypatch.setattr(arrangement, "available_cores", lambda: count)


@pytest.mark.parametrize(
    ("count", "total", "given", "expected"),
    [
        (2, 1, {}, (1, None)),
        (2, 3, {}, (1, None)),
        (2, 4, {}, (2, 1)),
        (2, None, {}, (2, 1)),
        (1, 1000, {}, (1, None)),
        (2, 1000, {"threads": 2}, (1, 2)),
        (8, 1000, {"workers": 2}, (2, 4)),
        (8, 1, {"workers": 3}, (3, 2)),
        (2, 1000, {"workers": 4}, (4, 1)),
        (8, 1000, {"workers": 2, "threads": 3}, (2, 3)),
        (8, 1000, {}, (8, 1)),
        (8, 1000, {"shares": False}, (2, None)),
        (8, 1, {"shares": False}, (1, None)),
        (8, 1000, {"shares": False, "workers": 4}, (4, None)),
    ],
)
def test_by_rule(cores, count, total, given, expected):
    cores(count)
    assert arrange(total, **{"shares": True, **given}) == Arrangement(*expected)


def test_measured_once_where_it_is_not_clear(cores, nano_artifact, tmp_path, monkeypatch):
    cores(4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def rate(path, candidate):
        asked.append(candidate)
        return {1: 30.0, 2: 50.0, 4: 40.0}[candidate.threads]

    monkeypatch.setattr(arrangement, "_rate", rate)
    assert [arrange(100, shares=True, path=nano_artifact.onnx) for _ in range(2)] == [Arrangement(2, 2)] * 2
    assert asked == [Arrangement(4, 1), Arrangement(2, 2), Arrangement(1, 4)]
    place = tmp_path / "cvport/arrangements.json"
    ((key, value),) = json.loads(place.read_text()).items()
    assert value == [2, 2]
    assert key.endswith(" 4")
    place.write_text('{"x": "y"')
    assert arrange(100, shares=True, path=nano_artifact.onnx) == Arrangement(2, 2)
    assert len(asked) == 6, "a broken entry is measured again"


def test_the_measurement_runs_the_file(nano_artifact, monkeypatch):
    monkeypatch.setattr(arrangement, "_TRIAL", 0.05)
    assert arrangement._rate(nano_artifact.onnx, Arrangement(2, 1)) > 1


def test_a_file_that_cannot_be_run_is_told_by_the_run(cores, tmp_path, nano_artifact, monkeypatch):
    cores(4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(nano_artifact.onnx.read_bytes()[:5000])
    assert arrange(100, shares=True, path=broken) == Arrangement(4, 1)


def test_cores_of_this_process():
    assert arrangement.available_cores() >= 1
