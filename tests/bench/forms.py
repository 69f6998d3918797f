"""Forms of files beside others: networks in their form for export, and outputs that are decoded inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cvport.models.registry import get_model, list_models
from cvport.models.weights.files import open_weights
from cvport.runtimes.load import load

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
            for form in get_model(name).forms:
                row, found = _measure_outputs(name, form, 10 if quick else 40)
                rows.append(row)
                details |= found
    return Section("exported forms beside the networks as they are", rows, [ONE_THREAD], details=details)


def _measure_outputs(name: str, form: str, runs: int) -> tuple[Row, dict[str, dict[str, float]]]:
    """Measure a file with more inside, from pixels to results, beside the raw one."""
    weights = open_weights(get_model(name), "sample" if name == "yolox" else "seeded")
    paths = {kind: export(get_model(name).in_form(kind), weights, f"{name}_{kind}") for kind in ("raw", form)}
    with ExitStack() as stack:
        predictors = {kind: stack.enter_context(load(path, backend="onnx", threads=1)) for kind, path in paths.items()}
        parts = in_turns({kind: timed(partial(predictor, photo())) for kind, predictor in predictors.items()}, runs)
    row = compare(f"{name}: --form {form}", "raw", parts["raw"]["total"], parts[form]["total"])
    return row, {f"{name} {kind}": {**_count(path), "bytes": path.stat().st_size} for kind, path in paths.items()}


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
