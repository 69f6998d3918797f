"""Loading a file with another runtime, and comparing what it computes with ONNX Runtime on the same inputs."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtimes.backends.onnx import OnnxBackend
from .inner import with_inner_values
from .verdicts import Finding, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .graph import Graph, Input

    Arrays = Mapping[str, np.ndarray[Any, Any]]
    Run = Callable[[Arrays], dict[str, np.ndarray[Any, Any]]]

# Largest difference allowed, as a share of the largest value of an output. The five models of this toolkit differ by
# 5e-6 at most in OpenCV 5.0.0 and OpenVINO 2026.4.1, on batches of normal noise.
LIMIT = 1e-4
# An output has to vary by so many limits: else another could be taken for it.
_LEAST_SPREAD = 20
_BATCHES = (1, 2)
_SEED = 0
_LONGEST = 400
# Places in the sources of a runtime, which say nothing to who has none.
_PLACES = re.compile(r"(from )?\S+\.[ch]pp:\d+:?")


@dataclass(frozen=True)
class Runtime:
    """What runs a file beside ONNX Runtime.

    Attributes:
        name: Its name and version.
        open: Opens a file and returns what runs it; any exception says that it cannot.
        named: (message, graph) -> names of the nodes that the message of a failure is about.

    """

    name: str
    open: Callable[[Path], Run]
    named: Callable[[str, Graph], set[str]]


def check_by_running(graph: Graph, runtime: Runtime) -> Outcome:
    """Return what a runtime makes of a file: every node is "ok" where all outputs agree.

    Raises:
        ArtifactError: ONNX Runtime cannot run the file, so there is nothing to compare with.

    """
    cases, reason = make_inputs(graph)
    if reason:
        return _all_unknown(graph, f"nothing was run: {reason}")
    with OnnxBackend(graph.path) as reference:
        expected = [reference.run(inputs) for inputs in cases]
    try:
        run = runtime.open(graph.path)
        found = [run(inputs) for inputs in cases]
    except Exception as error:  # a runtime may raise anything about a file that it does not take
        return _failed(graph, runtime, str(error))
    sizes = ", ".join(str(inputs[entry.name].shape) for inputs in cases for entry in graph.inputs)
    note = f"{runtime.name} and ONNX Runtime ran {sizes}; limit {LIMIT:g} of an output's largest value"
    differences = [line for pair in zip(expected, found, strict=True) for line in compare(*pair)]
    if differences:
        return _misread(graph, runtime, cases, differences, note)
    silent = sorted({name for outputs in expected for name, value in outputs.items() if not _varies(value)})
    if silent:
        reason = f"the outputs {', '.join(silent)} hardly vary on these inputs: another could be taken for them"
        return _all_unknown(graph, reason, note)
    return Outcome(tuple(judge(node) for node in graph.nodes), (), (note,))


def make_inputs(graph: Graph) -> tuple[list[dict[str, np.ndarray[Any, Any]]], str]:
    """Return seeded inputs, for batches of 1 and 2 where the batch is open; or none and the reason.

    Floats are normal noise, bytes are 0 to 255, other integers and truth values are 0 or 1.
    """
    opened = False
    for entry in graph.inputs:
        if entry.shape is None or not all(isinstance(side, int) for side in entry.shape[1:]):
            return [], f"sides of {entry.name} other than the batch are open"
        opened |= bool(entry.shape) and not isinstance(entry.shape[0], int)
        if _dtype(entry) is None:
            return [], f"{entry.name} is no tensor of numbers"
    generator = np.random.default_rng(_SEED)
    batches = _BATCHES if opened else _BATCHES[:1]
    return [{entry.name: _draw(entry, batch, generator) for entry in graph.inputs} for batch in batches], ""


def _dtype(entry: Input) -> np.dtype[Any] | None:
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        dtype = np.dtype(tensor_dtype_to_np_dtype(entry.dtype))
    except (KeyError, ValueError):
        return None
    return dtype if dtype.kind in "fiub" else None


def _draw(entry: Input, batch: int, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    shape = [side if isinstance(side, int) else batch for side in entry.shape or ()]
    dtype = _dtype(entry)
    assert dtype is not None
    if dtype.kind == "f":
        return np.asarray(generator.standard_normal(shape)).astype(dtype)
    return generator.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)


def compare(expected: Arrays, found: Arrays) -> list[str]:
    """Return how outputs differ from those of ONNX Runtime, an entry for each that does."""
    lines = []
    for name, wanted in expected.items():
        if name not in found:
            lines.append(f"{name} is missing")
            continue
        value = found[name]
        if value.shape != wanted.shape:
            lines.append(f"{name} is {list(value.shape)}, not {list(wanted.shape)}")
            continue
        first, second = (array.astype(np.float64) for array in (wanted, value))
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0, np.abs(first - second))
        largest = float(np.max(np.abs(first[np.isfinite(first)]), initial=0))
        worst = float(np.max(difference, initial=0))
        if not worst <= LIMIT * largest:
            share = f", {worst / largest:.2g} of its largest value" if largest else ""
            lines.append(f"{name} is off by {worst:.3g}{share}")
    return lines


def _varies(value: np.ndarray[Any, Any]) -> bool:
    """Tell whether an output varies enough to be told from another; a single number has nothing to vary against."""
    finite = value.astype(np.float64)
    finite = finite[np.isfinite(finite)]
    largest = float(np.max(np.abs(finite), initial=0))
    return bool(finite.size and largest and (finite.size == 1 or np.ptp(finite) >= _LEAST_SPREAD * LIMIT * largest))


def _all_unknown(graph: Graph, reason: str, *notes: str) -> Outcome:
    finding = Finding("unknown", reason)
    return Outcome(tuple(judge(node, [finding]) for node in graph.nodes), (), notes)


def _failed(graph: Graph, runtime: Runtime, message: str) -> Outcome:
    """Return the outcome of a file that a runtime does not load or run."""
    reason = f"{runtime.name} does not run the file: {_shortened(message)}"
    named = runtime.named(message, graph)
    fatal, other = Finding("not registered", reason), Finding("unknown", f"{runtime.name} does not run the file")
    nodes = tuple(judge(node, [fatal if node.name in named else other]) for node in graph.nodes)
    return Outcome(nodes, () if named else (fatal,))


def _misread(graph: Graph, runtime: Runtime, cases: Sequence[Arrays], differences: Sequence[str], note: str) -> Outcome:
    """Return the outcome of a file whose outputs differ: the first node with other values, where one can be found."""
    first, reason = _first_differing(graph, runtime, cases[-1])
    whole = Finding("misread", "; ".join(differences)[:_LONGEST])
    other = Finding("unknown", "outputs differ, and this node was not looked at alone")
    nodes = tuple(judge(node, [Finding("misread", reason) if node.name == first else other]) for node in graph.nodes)
    return Outcome(nodes, (whole,), (note,))


def _first_differing(graph: Graph, runtime: Runtime, inputs: Arrays) -> tuple[str, str]:
    """Return the name of the first node that gives other values, and how they differ; both empty where none is found.

    Inner values become outputs in a copy of the file. That may change what a runtime fuses, so the copy may agree.
    """
    model = with_inner_values(graph)
    if model is None:
        return "", ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inner.onnx"
        path.write_bytes(model)
        try:
            with OnnxBackend(path) as reference:
                expected = reference.run(inputs)
            found = runtime.open(path)(inputs)
        except Exception:  # see `check_by_running`; the difference is told without its place then
            return "", ""
    for node in graph.nodes:
        wanted = {name: expected[name] for name in node.outputs if name in expected}
        lines = compare(wanted, found)
        if lines:
            return node.name, f"the first node with other values: {lines[0]}"
    return "", ""


def _shortened(message: str) -> str:
    words = " ".join(_PLACES.sub("", message).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
