"""What is measured: a photograph, untrained networks of real structure, and their exported files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cvport.exporters.export import make_onnx, make_seal
from cvport.exporters.graphs.trace import tool_versions
from cvport.models.registry import get_model
from cvport.models.spec import ModelSpec
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.yolox.postprocess import PostprocessParams
from cvport.models.yolox.spec import SPEC
from cvport.runtimes.load import load
from cvport.runtimes.predictor import Predictor, Region
from helpers.yolox import megvii_variant

from .figures import Lap, Stopwatch

# The classes of COCO, as the published networks of Megvii have.
CLASSES = 80
NETWORKS = ("nano", "s")
# A busy scene of a trained detector: so many anchors are over the score threshold, and so many boxes are left.
CANDIDATES = 150
BOXES = 30
SCENE = (
    f"a 640x480 photo (skimage.data.astronaut), untrained weights (seeded:0) of Megvii's {CLASSES}-class networks, "
    f"biased to large boxes mostly of one class; thresholds set so that {CANDIDATES} anchors pass and about {BOXES} "
    "boxes are left"
)
ONE_THREAD = "one thread everywhere, OpenCV and ONNX Runtime"
_WIDTH, _HEIGHT = 640, 480
_LEVELS = 3
_LARGER, _USUAL = 3.5, 12.0


@cache
def folder() -> Path:
    """Return a folder for the files of this run."""
    return Path(_keep().name)


@cache
def _keep() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cvport-bench-")


@cache
def photo() -> NDArray[np.uint8]:
    """Return scikit-image's portrait of an astronaut, scaled and cropped to (480, 640, 3) uint8 B G R."""
    from skimage import data

    picture = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    return np.ascontiguousarray(cv2.resize(picture, (_WIDTH, _WIDTH))[:_HEIGHT], np.uint8)


@cache
def photo_file() -> Path:
    """Return the photograph as a JPEG."""
    path = folder() / "photo.jpg"
    cv2.imwrite(str(path), photo())
    return path


@cache
def checkpoint(size: str) -> Checkpoint:
    """Return seeded weights of a published Megvii network, as a Megvii checkpoint would hold them.

    Untrained anchors agree about nothing, so that no box would ever suppress another. Biases make the boxes as large as
    objects and the first class the usual one.
    """
    state = SPEC.seeded(0, megvii_variant(size, CLASSES))
    for i in range(_LEVELS):
        state[f"head.reg_preds.{i}.bias"][2:] += _LARGER
        state[f"head.cls_preds.{i}.bias"][0] += _USUAL
    return Checkpoint(state, "seeded:0", "", wrapper="model", untrained=True)


def export(spec: ModelSpec, weights: Checkpoint, name: str) -> Path:
    """Return the file that cvport makes of weights, without comparing it."""
    plan = spec.plan(weights)
    seal = make_seal(spec, weights, plan, "dynamic", tool_versions())
    path = folder() / f"{name}.onnx"
    network = spec.formed(spec.build_network(weights.state, plan.variant), plan.postprocess)
    path.write_bytes(make_onnx(spec, network, seal, lambda _step: None).data)
    return path


@cache
def onnx_file(size: str) -> Path:
    """Return the file that cvport makes of `checkpoint`."""
    return export(get_model("yolox"), checkpoint(size), f"yolox_{size}")


@cache
def concatenated_file(size: str) -> Path:
    """Return the same network with one output, (N, anchors, 5 + classes), as Megvii's own export and rtmlib have it.

    Appended to `onnx_file`: sigmoids of objectness and classes, and the concatenation in Megvii's order.
    """
    model = onnx.load(onnx_file(size))
    graph = model.graph
    levels = []
    for i in range(_LEVELS):
        for kind in ("obj", "cls"):
            graph.node.append(helper.make_node("Sigmoid", [f"{kind}_{i}"], [f"{kind}_{i}_score"]))
        graph.node.append(
            helper.make_node("Concat", [f"reg_{i}", f"obj_{i}_score", f"cls_{i}_score"], [f"level_{i}"], axis=1)
        )
        graph.node.append(helper.make_node("Reshape", [f"level_{i}", "flat"], [f"flat_{i}"]))
        levels.append(f"flat_{i}")
    graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [3], [0, 5 + CLASSES, -1]))
    graph.node.append(helper.make_node("Concat", levels, ["joined"], axis=2))
    graph.node.append(helper.make_node("Transpose", ["joined"], ["output"], perm=[0, 2, 1]))
    graph.ClearField("output")
    graph.output.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", None, 5 + CLASSES]))
    onnx.checker.check_model(model)
    path = folder() / f"yolox_{size}_concatenated.onnx"
    onnx.save(model, path)
    return path


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV to one thread."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def one_thread_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a session that uses one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Scene:
    """A predictor whose thresholds leave about `BOXES` boxes of the photograph.

    Attributes:
        predictor: Of an exported file, one thread.
        watch: Notes when its network runs.
        params: Of its postprocessing, thresholds among them.
        pairs: Pairs of an anchor and a class over the score threshold, which some implementations work on.
        boxes: What is left after suppression.

    """

    predictor: Predictor
    watch: Stopwatch
    params: PostprocessParams
    pairs: int
    boxes: int

    @property
    def name(self) -> str:
        """The network and its input size."""
        return f"{self.predictor.seal.title.split(',')[0]} {self.predictor.preprocess_params.input_size[0]}"

    def run(self) -> Lap:
        """Detect what is in the photograph."""
        return self.watch.lap(lambda: self.predictor(photo()))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        thresholds = {"score_threshold": self.params.score_threshold, "iou_threshold": self.params.iou_threshold}
        return {"candidates": CANDIDATES, "anchor_class_pairs": self.pairs, "boxes": self.boxes, **thresholds}


@cache
def scene(size: str) -> Scene:
    """Open the exported network of that size and set its thresholds."""
    predictor = load(onnx_file(size), backend="onnx", threads=1)
    inputs, _ = predictor.prepare([Region(photo())])
    scores = _scores(predictor.backend.run({"input": inputs}))
    threshold = float(np.sort(scores.max(axis=0))[-CANDIDATES])
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        changed = replace(predictor.postprocess_params, score_threshold=threshold, iou_threshold=middle)
        predictor.postprocess_params = changed
        boxes = len(predictor(photo()))
        if boxes == BOXES:
            break
        low, high = (middle, high) if boxes < BOXES else (low, middle)
    watch = Stopwatch()
    predictor.backend.run = watch.around(predictor.backend.run)  # type: ignore[method-assign]
    return Scene(predictor, watch, changed, int((scores >= threshold).sum()), boxes)


def _scores(outputs: dict[str, NDArray[np.float32]]) -> NDArray[Any]:
    """Return the (classes, anchors) scores of one picture."""
    parts = [
        (1 / (1 + np.exp(-outputs[f"cls_{i}"][0]))) / (1 + np.exp(-outputs[f"obj_{i}"][0])) for i in range(_LEVELS)
    ]
    return np.concatenate([part.reshape(CLASSES, -1) for part in parts], axis=1)
