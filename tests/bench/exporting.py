"""The whole export beside the bare call of ``torch.onnx.export`` that is its heart."""

from __future__ import annotations

import itertools
import logging
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import cvport
from cvport.exporters.graphs.trace import OPSET
from cvport.models.registry import get_model
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.weights.files import open_weights
from cvport.models.yolox.spec import SPEC
from helpers.yolox import megvii_variant

from .figures import Row, Section, compare, in_turns, timed
from .subjects import folder

_TARGET = 1.5


def measure_export(quick: bool) -> Section:
    """Measure whole exports, and where their time goes."""
    # The first export of a process imports what the later ones find imported.
    _export(_save_nano(), {})
    rows, details = [], {}
    for name, weights in (("nano 416, 1 class", _save_nano()), ("default s 640, 1 class", "seeded")):
        found, steps = _measure(name, weights, 1 if quick else 3)
        rows += found
        details[f"{name}, ms by step"] = steps
    notes = [
        "untrained weights; in one process, imports done; the bare call gets the network as loaded: eval mode, dynamo, "
        f"opset {OPSET}, dynamic batch",
    ]
    return Section("export", rows, notes, details=details)


def _measure(name: str, weights: str | Path, runs: int) -> tuple[list[Row], dict[str, float]]:
    """Return the rows of one network, and the median milliseconds of each step of its export."""
    spec = get_model("yolox")
    loaded = open_weights(spec, weights)
    network, size = _network(loaded)
    fused = spec.fuse(network)
    steps: dict[str, list[float]] = {}
    work = {
        "bare": timed(lambda: _bare_export(network, size)),
        "fused": timed(lambda: _bare_export(fused, size)),
        "own": timed(lambda: _export(weights, steps)),
    }
    parts = in_turns(work, runs, warm_up=0)
    bare, fused_bare, own = (parts[key] for key in ("bare", "fused", "own"))
    rows = [
        compare(name, "bare call", bare["total"], own["total"], _TARGET),
        compare(f"{name}, CPU time of all threads", "bare call", bare["cpu"], own["cpu"]),
        compare(name, "bare call, fused network", fused_bare["total"], own["total"]),
    ]
    return rows, {step: round(float(np.median(spent)), 1) for step, spent in steps.items()}


def _network(weights: Checkpoint) -> tuple[nn.Module, tuple[int, int]]:
    spec = get_model("yolox")
    plan = spec.plan(weights)
    return spec.build_network(weights.state, plan.variant), plan.input_size


def _bare_export(network: nn.Module, size: tuple[int, int]) -> None:
    spec = get_model("yolox")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, *size),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.input_name],
            output_names=list(spec.output_names),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )


def _export(weights: str | Path, steps: dict[str, list[float]]) -> None:
    """Export into an empty folder; append the milliseconds of each step to *steps*."""
    output = folder() / "artifacts"
    shutil.rmtree(output, ignore_errors=True)
    marks: list[tuple[str, float]] = []
    mark = _marker(marks)
    mark("preparing")
    cvport.export("yolox", weights=weights, output=output, progress=mark)
    mark("")
    for (step, begin), (_, end) in itertools.pairwise(marks):
        steps.setdefault(step, []).append(1000 * (end - begin))


def _marker(marks: list[tuple[str, float]]) -> Callable[[str], None]:
    return lambda step: marks.append((step, time.perf_counter()))


def _save_nano() -> Path:
    """Write a seeded nano network of one class as a Megvii checkpoint."""
    path = folder() / "nano.pth"
    state = {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, megvii_variant("nano", 1)).items()}
    torch.save({"model": state}, path)
    return path
