"""``cvrun bench``: what is measured, in which order, and what is written. Times themselves are never tested."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvport.errors import UsageError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.benchmark import measure as module
from cvport.runtimes.benchmark.measure import Setting, measure
from cvport.runtimes.benchmark.pictures import synthetic
from cvport.runtimes.benchmark.plot import plot
from cvport.runtimes.benchmark.statistics import is_stable, summarise
from cvport.runtimes.commands import bench as command
from cvport.runtimes.commands.bench import bench
from cvport.runtimes.job import Timing

# --- statistics


def test_statistics_of_known_numbers():
    found = summarise([4.0, 1.0, 3.0, 2.0])
    assert (found.mean, found.least) == (2.5, 1.0)
    assert found.std == pytest.approx(1.2909944)
    assert found.percentiles == pytest.approx({50: 2.5, 90: 3.7, 95: 3.85, 99: 3.97})
    assert sorted(found.to_dict()) == ["mean", "min", "p50", "p90", "p95", "p99", "std"]
    assert summarise([7.0]).std == 0


def test_a_series_is_stable_when_its_last_windows_agree():
    assert not is_stable([10.0] * 39)
    assert is_stable([99.0] * 10 + [10.0] * 40)
    assert is_stable([10.0] * 20 + [10.15] * 20)
    assert not is_stable([10.0] * 20 + [10.3] * 20)
    assert not is_stable(list(np.linspace(10, 20, 80))), "it drifts"
    assert is_stable(([10.0] * 9 + [500.0]) * 4), "one spike in ten"


# --- pictures


def test_pictures_are_the_same_everywhere():
    first, again = synthetic(5), synthetic(5)
    assert [image.shape for image in first] == [
        (480, 640, 3),
        (640, 480, 3),
        (720, 1280, 3),
        (240, 320, 3),
        (480, 640, 3),
    ]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0], first[4])
    assert not np.array_equal(first[0], synthetic(1, seed=1)[0])
    assert 30 < first[0].std() < 80, "neither flat nor noise"


# --- laps


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Predictor:
    def __init__(self, clock, seconds, ran, name):
        self.clock, self.seconds, self.ran, self.name = clock, list(seconds), ran, name

    def predict_timed(self, images):
        self.ran.append((self.name, len(images)))
        self.clock.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        return [], Timing(1.0, 2.0, 3.0)


def run(seconds, **more):
    clock, ran = Clock(), []
    settings = {
        Setting(name, size, None): Predictor(clock, values, ran, name) for (name, size), values in seconds.items()
    }
    measured = measure(settings, [np.zeros((2, 2, 3), np.uint8)] * 3, clock=clock, **more)
    return measured, ran


def test_settings_are_measured_in_turns():
    measured, ran = run({("a", 1): [0.01], ("b", 4): [0.02]}, laps=3)
    warm, laps = ran[: 2 * module.WARM_UP], ran[2 * module.WARM_UP :]
    assert warm == [("a", 1)] * module.WARM_UP + [("b", 4)] * module.WARM_UP
    assert laps == [("a", 1), ("b", 4)] * 3
    a, b = measured.series.values()
    np.testing.assert_allclose((a.total, b.total), [[10] * 3, [20] * 3])
    assert a.stage_means() == (1.0, 2.0, 3.0)
    assert a.stable
    assert not measured.interrupted


def test_each_goes_on_until_it_is_stable():
    rising = [0.001 * 1.02**number for number in range(300)]
    measured, _ = run({("even", 1): [0.01], ("rising", 1): rising})
    even, other = measured.series.values()
    assert (even.stable, len(even.total)) == (True, module.LEAST)
    assert not other.stable or len(other.total) > module.LEAST


def test_a_series_that_never_settles_ends():
    swinging = [0.5 if number // 20 % 2 else 1.0 for number in range(2000)]
    measured, _ = run({("swinging", 1): swinging})
    (series,) = measured.series.values()
    assert not series.stable
    assert sum(series.total) / 1000 < module.LONGEST_S + 2


def test_an_interrupt_keeps_what_was_measured():
    def stop():
        if len(ran) == module.WARM_UP + 7:
            raise KeyboardInterrupt

    clock, ran = Clock(), []
    setting = Setting("a", 1, None)
    images = [np.zeros((2, 2, 3), np.uint8)]
    measured = measure({setting: Predictor(clock, [0.01], ran, "a")}, images, clock=clock, after=stop)
    assert (measured.interrupted, len(measured.series[setting].total)) == (True, 7)


# --- the plot


def test_plot_has_its_labels(tmp_path):
    measured, _ = run({("onnx", 1): [0.01], ("torch", 4): [0.02]}, laps=4)
    path = tmp_path / "speed.svg"
    plot(path, "yolox, a machine", measured.series)
    root = ET.fromstring(path.read_text())
    assert root.tag.endswith("svg")
    assert len(path.read_bytes()) > 5000
    plot(tmp_path / "speed.png", "yolox", measured.series)
    assert cv2.imread(str(tmp_path / "speed.png")).shape[1] == 1200
    with pytest.raises(UsageError, match=r"\.gif is not drawn"):
        plot(tmp_path / "speed.gif", "x", measured.series)


# --- the command


@pytest.fixture
def call(invoke, nano_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *given: invoke(bench, "-m", nano_artifact.onnx, "--backend", "onnx", *given)


def test_json_and_file(call):
    done = call("--json", "--iters", 3, "--batch", "1,2", "--threads", 1, "-o", "new/benchmark.json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert content == json.loads(Path("new/benchmark.json").read_text())
    assert content["pictures"] == {"kind": "synthetic", "count": 20}
    first, second = content["measured"]
    assert (first["batch"], second["batch"], first["threads"], first["runs"]) == (1, 2, 1, 3)
    assert first["speed_up"] == 1
    assert second["images_per_second"] == pytest.approx(2000 / second["batch_ms"]["mean"], rel=1e-3)
    assert second["speed_up"] == pytest.approx(second["images_per_second"] / first["images_per_second"], rel=1e-2)
    assert set(first["stages_ms"]) == {"preprocess", "network", "postprocess"}
    assert content["machine"]["cores"] >= 1
    assert content["machine"]["packages"]["onnxruntime"]


def test_table_on_pictures_of_ones_own(call):
    cv2.imwrite("a.png", scene(40, 60, seed=0))
    Path("b.png").write_text("no image")
    done = call("--iters", 2, "--plot", "speed.svg", "a.png", "b.png")
    lines = done.out.splitlines()
    assert done.code == 0
    assert "1 picture (sources)" in lines[0]
    assert lines[1].split()[:3] == ["backend", "threads", "batch"]
    assert re.search(r"onnx cpu +- +1 +[\d.]+ \+- [\d.]+ .* 1\.00x +2$", lines[2])
    assert "b.png is not an image" in done.err
    assert Path("speed.svg").is_file()


def test_a_sweep_is_a_grid(monkeypatch):
    monkeypatch.setattr(command, "available_cores", lambda: 6)
    options = {"sweep": "threads,batch", "threads": None, "batch": (1, 3)}
    settings = command._settings(["onnx", "onnx"], options)
    assert [(s.threads, s.batch) for s in settings] == [(t, b) for t in (1, 2, 4, 6) for b in (1, 3)]
    assert command._settings(["onnx"], {"sweep": None, "threads": None, "batch": None}) == [Setting("onnx", 1, None)]


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (["--sweep", "size"], 2, "--sweep size cannot be swept"),
        (["--batch", "1,x"], 2, "--batch 1,x is no list of numbers"),
        (["--threads", "0"], 2, "no list of numbers"),
        (["--synthetic", "3", "a.png"], 2, "Give one of them"),
        (["gone.png"], 3, "no picture can be read"),
        (["--backend", "onnx,cuda"], 2, "is a device"),
        (["--iters", "1", "--plot", "x.gif"], 2, "is not drawn"),
    ],
)
def test_bad_input(call, given, code, message):
    done = call(*given)
    assert done.code == code
    assert message in done.err
