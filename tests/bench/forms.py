"""The forms that are exported for ONNX Runtime beside the networks as they are: nodes, speed, difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cvport.models.registry import get_model, list_models
from cvport.models.weights.files import open_weights

from .figures import Row, Section, compare, in_turns, timed
from .subjects import ONE_THREAD, export, one_thread, one_thread_session, photo

_TOLD = ("PRelu", "Conv", "Where", "Transpose", "MatMul", "Gemm")


def measure_forms(quick: bool) -> Section:
    """Measure every model that is exported in a form of its own."""
    rows: list[Row] = []
    details: dict[str, Any] = {}
    with one_thread():
        for name in list_models():
            if "export_form" in get_model(name).code:
                row, found = _measure(name, 10 if quick else 40)
                rows.append(row)
                details |= found
    return Section("exported forms beside the networks as they are", rows, [ONE_THREAD], details=details)


def _measure(name: str, runs: int) -> tuple[Row, dict[str, dict[str, float]]]:
    spec = get_model(name)
    weights = open_weights(spec, "seeded")
    own = export(spec, weights, f"{name}_form")
    code = {part: place for part, place in spec.code.items() if part != "export_form"}
    plain = export(replace(spec, code=code), weights, f"{name}_plain")
    inputs = {spec.input_name: spec.preprocess(photo(), spec.params_types[0]())[0][None]}
    sessions = [one_thread_session(path) for path in (own, plain)]
    outputs: list[list[NDArray[np.float32]]] = [session.run(None, inputs) for session in sessions]
    difference = max(float(np.abs(a - b).max()) for a, b in zip(*outputs, strict=True))

    def run(index: int) -> Callable[[], object]:
        return lambda: sessions[index].run(None, inputs)

    parts = in_turns({"own": timed(run(0)), "plain": timed(run(1))}, runs)
    row = compare(f"{name}: exported form", "as it is", parts["plain"]["total"], parts["own"]["total"], 1.0)
    figures = {f"{name} exported form": {**_count(own), "difference": difference}, f"{name} as it is": _count(plain)}
    return row, figures


def _count(path: Path) -> dict[str, float]:
    kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
    return {"nodes": float(kinds.total()), **{kind: float(kinds[kind]) for kind in _TOLD if kinds[kind]}}
