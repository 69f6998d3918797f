"""Non-maximum suppression as a part of the graph, for files of the form "e2e".

What `models.ops.detector.choose_decoded` does with boxes and scores, in standard operators of opset 18, without a
loop and the same for every batch. Candidates are the pairs (box b, class c), in the order b * C + c; a score of -1
marks what is none. NonMaxSuppression gives (picture, class, box) in rows; from them comes a mask of the candidates of
each picture, and TopK puts those that are kept first. It breaks ties by the lower index, as a stable sort does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .build import Operators

if TYPE_CHECKING:
    import onnx

    from ...models.ops.detector import DetectorParams

_PREFIX = "suppression"
# The constant that the gate lowers to see all candidates.
THRESHOLD = f"{_PREFIX}/score_threshold"

_LEFT_OUT, _ZERO, _ONE = np.float32(-1), np.float32(0), np.float32(1)
_BOXES, _SCORES = "boxes", "scores"
_FLOAT, _INT64 = 1, 7  # of onnx.TensorProto
_COLUMNS = 6  # x1 y1 x2 y2 score class


class _Shape(NamedTuple):
    boxes: int
    classes: int


def append_suppression(model: onnx.ModelProto, params: DetectorParams, *, best_class_only: bool) -> None:
    """Let a file of the form "decoded" give ``dets`` and ``count``; its own outputs stay values of the graph.

    Args:
        model: Gives ``boxes`` (N, B, 4) and ``scores`` (N, B, C) float32, with B and C fixed; changed in place.
        params: Thresholds; they become constants.
        best_class_only: Whether a box counts for its best class alone.

    """
    from onnx import TensorProto, helper

    graph = model.graph
    (scores,) = (value for value in graph.output if value.name == _SCORES)
    batch, boxes, classes = scores.type.tensor_type.shape.dim
    shape = _Shape(boxes.dim_value, classes.dim_value)
    op = Operators(graph, _PREFIX)
    candidates = _candidates(op, shape, params, best_class_only=best_class_only)
    _best(op, candidates, _kept(op, candidates, shape, params), shape, params.max_detections)
    del graph.output[:]
    pictures = batch.dim_param or batch.dim_value
    rows = [pictures, params.max_detections, _COLUMNS]
    graph.output.append(helper.make_tensor_value_info("dets", TensorProto.FLOAT, rows))
    graph.output.append(helper.make_tensor_value_info("count", TensorProto.INT64, [pictures]))


def _candidates(op: Operators, shape: _Shape, params: DetectorParams, *, best_class_only: bool) -> str:
    """Return (N, B, C) scores of the candidates, -1 for what is none."""
    scores = _SCORES
    if best_class_only and shape.classes > 1:
        # Of equal scores the first class counts, as numpy's argmax has it.
        best = op.ArgMax(scores, axis=2, keepdims=1)
        is_best = op.Equal(best, np.arange(shape.classes, dtype=np.int64).reshape(1, 1, -1))
        scores = op.Where(is_best, scores, _LEFT_OUT)
    threshold = op.constant(np.float32(params.score_threshold), "score_threshold")
    return str(op.Where(op.GreaterOrEqual(scores, threshold), scores, _LEFT_OUT))


def _kept(op: Operators, candidates: str, shape: _Shape, params: DetectorParams) -> str:
    """Return (N, B * C) float32: 1 for a candidate that is kept, else 0."""
    flat = op.Reshape(candidates, np.array([0, shape.boxes * shape.classes], np.int64))
    together = params.class_agnostic and shape.classes > 1
    if together:
        # All candidates suppress each other: each is a box of its own, of the one class there is.
        repeats = np.repeat(np.arange(shape.boxes, dtype=np.int64), shape.classes)
        boxes, scores = op.Gather(_BOXES, repeats, axis=1), op.Unsqueeze(flat, np.array([1], np.int64))
    else:
        boxes, scores = _BOXES, op.Transpose(candidates, perm=[0, 2, 1])
    most, iou = np.array(params.max_detections, np.int64), np.float32(params.iou_threshold)
    found = op.NonMaxSuppression(boxes, scores, most, iou, np.float32(_LEFT_OUT / 2))
    picture, of_class, box = (op.Gather(found, np.array([column], np.int64), axis=1) for column in range(3))
    candidate = box if together else op.Add(op.Mul(box, np.int64(shape.classes)), of_class)
    # As many ones as rows, of whatever number: every box has a place of 0 or more.
    ones = op.Cast(op.GreaterOrEqual(op.Squeeze(box, np.array([1], np.int64)), np.int64(0)), to=_FLOAT)
    return str(op.ScatterND(op.Mul(flat, _ZERO), op.Concat(picture, candidate, axis=1), ones))


def _best(op: Operators, candidates: str, kept: str, shape: _Shape, most: int) -> None:
    """Add ``dets`` (N, K, 6), x1 y1 x2 y2 score class, best first and then zeros; and ``count`` (N) int64."""
    total = shape.boxes * shape.classes
    flat = op.Reshape(candidates, np.array([0, total], np.int64))
    ranked = op.Where(op.Greater(kept, np.float32(0.5)), flat, _LEFT_OUT)
    if total < most:
        ranked = op.Pad(ranked, np.array([0, 0, 0, most - total], np.int64), _LEFT_OUT)
    outputs = (f"{_PREFIX}/top", f"{_PREFIX}/place")
    top, place = op.add("TopK", ranked, np.array([most], np.int64), outputs=outputs, axis=1)
    filled = op.GreaterOrEqual(top, _ZERO)
    op.add("ReduceSum", op.Cast(filled, to=_INT64), np.array([1], np.int64), outputs=("count",), keepdims=0)
    place = op.Min(place, np.int64(total - 1))  # padding has places behind the last candidate
    classes, last = np.int64(shape.classes), np.array([2], np.int64)
    corners = op.GatherND(_BOXES, op.Unsqueeze(op.Div(place, classes), last), batch_dims=1)
    of_class = op.Cast(op.Mod(place, classes), to=_FLOAT)
    rows = op.Concat(corners, op.Unsqueeze(top, last), op.Unsqueeze(of_class, last), axis=2)
    op.add("Where", op.Unsqueeze(filled, last), rows, _ZERO, outputs=("dets",))
