"""Every model beside the arithmetic floor of the machine, beside PyTorch, and its own stages beside its network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, shape_inference

from cvport.models.registry import get_model, list_models
from cvport.models.weights.files import open_weights
from cvport.runtimes.load import load
from cvport.runtimes.predictor import Predictor

from .figures import Lap, Row, Section, Stopwatch, compare, in_turns, latency, timed
from .subjects import CANDIDATES, ONE_THREAD, export, one_thread, photo

_FLOOR_TARGET, _EAGER_TARGET = 1.3, 1.0
# The part of the network's time that may go into everything around it. yolox has its own section.
_STAGE_TARGETS = {"nanodet": 0.08, "hand_static": 0.08, "landmarks68": 0.01, "emotion": 0.01}
# Where a target is missed, and why.
_WHY = (
    "nanodet, network: the 58 channels of its first stage fit no block of ONNX Runtime's fast layout, 43 of its 110 "
    "convolutions are depthwise, and channels are interleaved after every unit: traffic that the floor does not count",
    "hand_static, network: a PReLU with a slope a channel is two more passes over each layer; with plain ReLU, which "
    "would be wrong, it takes 0.8 of its time",
    "hand_static and emotion, pre+post: nearly all of it is Pillow's own antialiased scaling",
    "nanodet, pre+post: the fixed cost of some 200 calls into compiled code, on arrays too small to fill it",
)
_SIDE = 512
# One after the other, so that all but the first find their matrices in the cache.
_PRODUCTS = 8


class _Subject(NamedTuple):
    """One model, exported from untrained weights.

    Attributes:
        predictor: Of the exported file, one thread.
        watch: Notes when its network runs.
        eager: Runs the network as loaded in PyTorch on one picture.
        operations: Multiplications and additions of the file for one picture.
        details: Further figures.

    """

    predictor: Predictor
    watch: Stopwatch
    eager: Callable[[], object]
    operations: float
    details: dict[str, Any]


def measure_models(quick: bool) -> Section:
    """Measure every model."""
    rows: list[Row] = []
    details = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_thread():
            for name in list_models():
                subject = _subject(name)
                made, figures = _rows(name, subject, quick)
                rows += made
                details[name] = {**subject.details, "operations": subject.operations}
                details |= figures
    finally:
        torch.set_num_threads(threads)
    notes = [
        f"{ONE_THREAD}, PyTorch too; a 640x480 photo, untrained weights (seeded:0) of each model's default network",
        f"floor: the multiplications and additions of the file over the rate of a {_SIDE}x{_SIDE} matrix product in "
        "ONNX Runtime, which ran in turns with it; only convolutions and matrix products are counted",
        f"detectors: a threshold over which {CANDIDATES} candidates are; as in a series of pictures, each is run twice "
        "and the second run counts",
        *_WHY,
    ]
    return Section("every model", rows, notes, percent=True, details=details)


def _rows(name: str, subject: _Subject, quick: bool) -> tuple[list[Row], dict[str, dict[str, float]]]:
    picture, product = photo(), _matrix_product()
    subjects: dict[str, Callable[[], Lap]] = {
        "own": _second(lambda: subject.watch.lap(lambda: subject.predictor(picture))),
        "product": timed(product),
        "eager": _second(timed(subject.eager)),
    }
    parts = in_turns(subjects, 10 if quick else 40)
    network = parts["own"]["network"]
    floor = parts["product"]["total"] * subject.operations / (2 * _SIDE**3 * _PRODUCTS)
    eager = parts["eager"]["total"]
    figures = {f"{name} onnx": latency(network, eager), f"{name} torch": latency(eager, eager)}
    rows = [
        compare(f"{name}: network", "arithmetic floor", floor, network, _FLOOR_TARGET),
        compare(f"{name}: network", "PyTorch eager", eager, network, _EAGER_TARGET),
        compare(f"{name}: pre+post", "network", network, parts["own"]["pre+post"], _STAGE_TARGETS.get(name)),
    ]
    return rows, figures


def _second(run: Callable[[], Lap]) -> Callable[[], Lap]:
    """Return a subject that runs twice and counts the second: what ran in between has emptied the caches."""

    def twice() -> Lap:
        run()
        return run()

    return twice


def _subject(name: str) -> _Subject:
    """Export a model and open it."""
    spec = get_model(name)
    checkpoint = open_weights(spec, "seeded")
    plan = spec.plan(checkpoint)
    network = spec.build_network(checkpoint.state, plan.variant)
    path = export(spec, checkpoint, name)
    predictor = load(path, backend="onnx", threads=1)
    inputs = torch.from_numpy(spec.preprocess(photo(), plan.preprocess)[0][None])

    def eager() -> None:
        with torch.inference_mode():
            network(inputs)

    details: dict[str, Any] = {}
    if spec.kind == "detections":
        details = _set_threshold(predictor)
    watch = Stopwatch()
    predictor.backend.run = watch.around(predictor.backend.run)  # type: ignore[method-assign]
    return _Subject(predictor, watch, eager, operations(path), details)


def _set_threshold(predictor: Predictor) -> dict[str, Any]:
    """Set the score threshold so that `CANDIDATES` candidates of the photo pass."""
    usual = predictor.postprocess_params
    everything = replace(usual, score_threshold=0.0, iou_threshold=1.0, max_detections=CANDIDATES)
    predictor.postprocess_params = everything
    threshold = float(predictor(photo()).scores[-1])
    predictor.postprocess_params = replace(usual, score_threshold=threshold)
    return {"score_threshold": threshold, "boxes": len(predictor(photo()))}


@cache
def _matrix_product() -> Callable[[], object]:
    """Return a product of two square matrices in ONNX Runtime on one thread."""
    shape = [_SIDE, _SIDE]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("a", "b", "c")]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(shape, dtype=np.float32) for name in ("a", "b")}

    def run() -> None:
        for _ in range(_PRODUCTS):
            session.run(None, feeds)

    return run


@dataclass(frozen=True)
class _Shapes:
    """Sizes of the tensors of a graph by name."""

    sizes: dict[str, list[int]]

    def multiplications(self, node: onnx.NodeProto) -> int:
        """Return how many multiplications a node does; 0 for what is neither convolution nor matrix product."""
        output = math.prod(self.sizes.get(node.output[0], [0]))
        if node.op_type == "Conv":
            return output * math.prod(self.sizes[node.input[1]][1:])
        if node.op_type == "MatMul":
            return output * self.sizes[node.input[0]][-1]
        if node.op_type == "Gemm":
            transposed = any(entry.name == "transA" and entry.i for entry in node.attribute)
            return output * self.sizes[node.input[0]][0 if transposed else -1]
        return 0


def operations(path: Path) -> float:
    """Return the multiplications and additions that a file does for a batch of one."""
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for value in [*model.graph.output, *model.graph.value_info]:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info}
    sizes |= {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.input}
    sizes |= {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.output}
    sizes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    return 2.0 * sum(_Shapes(sizes).multiplications(node) for node in graph.node)
