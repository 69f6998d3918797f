"""A folder of photographs through ``cvrun``, beside the loop that a user writes: whole processes, start included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import cv2

from cvport.models.registry import get_model
from cvport.models.weights.files import open_weights
from cvport.runtimes.arrangement import available_cores

from .figures import Row, Section, compare, in_turns, timed
from .subjects import export, folder

_FEW, _MANY = 200, 2000
_TARGET_FEW, _TARGET_MANY, _TARGET_PARTS = 1 / 1.2, 1 / 1.5, 1.2
_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "cat")
_SIZE = (640, 480)
# What a user writes: read, letterbox, run, decode, suppress. The second argument is the threads of the session.
_LOOP = """
import pathlib
import sys

import cv2
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
side = session.get_inputs()[0].shape[2]
found = 0
for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    image = cv2.imread(str(path))
    scale = min(side / image.shape[0], side / image.shape[1])
    scaled = cv2.resize(image, (int(image.shape[1] * scale), int(image.shape[0] * scale)))
    padded = np.full((side, side, 3), 114, np.uint8)
    padded[: scaled.shape[0], : scaled.shape[1]] = scaled
    x = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32)
    outputs = session.run(None, {"input": x})
    boxes, scores = [], []
    for level, stride in enumerate((8, 16, 32)):
        classes, places, objects = (value[0] for value in outputs[3 * level : 3 * level + 3])
        height, width = classes.shape[1:]
        y, x = np.mgrid[:height, :width]
        score = (1 / (1 + np.exp(-classes))) / (1 + np.exp(-objects))
        w, h = np.exp(places[2]) * stride, np.exp(places[3]) * stride
        left, top = (places[0] + x) * stride - w / 2, (places[1] + y) * stride - h / 2
        boxes.append(np.stack([left, top, w, h], -1).reshape(-1, 4))
        scores.append(score.reshape(len(classes), -1).T)
    boxes, scores = np.concatenate(boxes) / scale, np.concatenate(scores)
    best, ids = scores.max(1), scores.argmax(1)
    keep = best > 0.3
    if keep.any():
        found += len(cv2.dnn.NMSBoxesBatched(boxes[keep].tolist(), best[keep].tolist(), ids[keep].tolist(), 0.3, 0.65))
print(found)
"""


@cache
def _photos(count: int) -> Path:
    """Return a folder of so many JPEGs of 640x480."""
    from skimage import data

    place = folder() / f"photos{count}"
    place.mkdir()
    first: list[Path] = []
    for number in range(count):
        path = place / f"{number:05d}.jpg"
        if number < len(_PHOTOS):
            picture = cv2.cvtColor(getattr(data, _PHOTOS[number])(), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(path), cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA))
            first.append(path)
        else:
            shutil.copyfile(first[number % len(first)], path)
    return place


@cache
def _model() -> Path:
    """Return the file of the weights that come along: trained, so that there is as much to decode as usual."""
    spec = get_model("yolox")
    return export(spec, open_weights(spec, "sample"), "yolox_sample")


def measure_streams(quick: bool) -> Section:
    """Measure two folders."""
    script = folder() / "loop.py"
    script.write_text(_LOOP, encoding="utf-8")
    rows = _rows(_FEW, script, 3 if quick else 7, _TARGET_FEW)
    if not quick:
        rows += _rows(_MANY, script, 3, _TARGET_MANY)
    notes = [
        "yolox, weights sample, 416, JPEGs of 640x480 pixels; against the better of the loop with one thread and with "
        f"one a core ({available_cores()})",
        "its parts: reading, preprocessing, network and postprocessing of one worker on one thread, divided by the "
        "cores; the start of the command stands against it",
    ]
    return Section("a folder through cvrun, whole processes", rows, notes)


def _rows(count: int, script: Path, runs: int, target: float) -> list[Row]:
    photos, model = str(_photos(count)), str(_model())
    cores = available_cores()
    command = "from cvport.runtimes.commands.start import cvrun; cvrun()"
    own = [sys.executable, "-c", command, "--backend", "onnx", "-q", "-m", model, "--format", "jsonl", photos]
    work = {
        "own": timed(partial(_run, own)),
        "one thread": timed(partial(_run, [sys.executable, str(script), model, photos, "1"])),
        "all cores": timed(partial(_run, [sys.executable, str(script), model, photos, str(cores)])),
    }
    parts = in_turns(work, runs, warm_up=1)
    best = min(("one thread", "all cores"), key=lambda name: float(parts[name]["total"].mean()))
    spent = parts["own"]["total"]
    rows = [compare(f"{count} photos", f"loop, {best}", parts[best]["total"], spent, target)]
    if count == _MANY:  # of few the start is a large part
        alone = _parts_ms(own, photos) * count / cores
        rows.append(compare(f"{count} photos", f"its parts / {cores} cores", spent * 0 + alone, spent, _TARGET_PARTS))
    return rows


def _parts_ms(own: list[str], photos: str) -> float:
    """Return milliseconds of reading and of all stages of one photo, by one worker on one thread."""
    import time

    from cvport.runtimes.sources.images import read_image

    done = _run([*own, "--workers", "1", "--threads", "1"])
    stages = [json.loads(line)["timing_ms"] for line in done.splitlines()[1:]]
    network = sum(sum(entry.values()) for entry in stages) / len(stages)
    paths = sorted(Path(photos).iterdir())[:100]
    began = time.perf_counter()
    for path in paths:
        read_image(path)
    return network + (time.perf_counter() - began) * 1000 / len(paths)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout
