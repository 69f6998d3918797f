"""Suppression in the graph chooses what the numpy postprocessing chooses, to the bit, in every batch."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from cvport.exporters.graphs.suppression import append_suppression
from cvport.models.ops.detector import choose_decoded
from cvport.models.yolox.postprocess import PostprocessParams


def session(count, classes, params, *, best_class_only, batch="batch"):
    """A file that gives what it is fed, and then what is chosen of it."""
    value = helper.make_tensor_value_info
    shapes = {"boxes": [batch, count, 4], "scores": [batch, count, classes]}
    nodes = [helper.make_node("Identity", [f"given_{name}"], [name]) for name in shapes]
    graph = helper.make_graph(
        nodes,
        "g",
        [value(f"given_{name}", TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    append_suppression(model, params, best_class_only=best_class_only)
    onnx.checker.check_model(model, full_check=True)
    assert not {"Loop", "If", "Scan"} & {node.op_type for node in model.graph.node}
    return onnxruntime.InferenceSession(model.SerializeToString())


def check(run, boxes, scores, params, *, best_class_only):
    """Compare every picture of a batch; return how many are chosen of each."""
    dets, counts = run.run(["dets", "count"], {"given_boxes": boxes, "given_scores": scores})
    assert dets.shape == (len(boxes), params.max_detections, 6)
    assert counts.dtype == np.int64
    for rows, count, *given in zip(dets, counts, boxes, scores, strict=True):
        found = choose_decoded(*given, params, best_class_only=best_class_only, classes=None, best=None)
        expected = np.column_stack([found.boxes, found.scores, found.class_ids]).astype(np.float32)
        np.testing.assert_array_equal(rows[:count], expected)
        assert not rows[count:].any(), "zeros after the last"
    return counts.tolist()


def drawn(rng, pictures, count, classes):
    corners, sides = rng.uniform(0, 300, (pictures, count, 2)), rng.uniform(5, 150, (pictures, count, 2))
    boxes = np.concatenate([corners, corners + sides], axis=2).astype(np.float32)
    return boxes, rng.uniform(0, 1, (pictures, count, classes)).astype(np.float32)


@pytest.mark.parametrize("best_class_only", [True, False])
@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize(("count", "classes", "most"), [(200, 3, 300), (150, 1, 20), (40, 8, 400), (300, 5, 5)])
def test_any_batch_with_empty_pictures_between(best_class_only, agnostic, count, classes, most):
    rng = np.random.default_rng(count + classes)
    params = PostprocessParams(score_threshold=0.5, iou_threshold=0.4, class_agnostic=agnostic, max_detections=most)
    run = session(count, classes, params, best_class_only=best_class_only)
    for pictures in (1, 2, 5):
        boxes, scores = drawn(rng, pictures, count, classes)
        scores[1::2] *= 0.4
        counts = check(run, boxes, scores, params, best_class_only=best_class_only)
        assert all(counts[0::2])
        assert not any(counts[1::2])


@pytest.mark.parametrize("best_class_only", [True, False])
@pytest.mark.parametrize("agnostic", [True, False])
def test_ties_and_scores_at_the_threshold(best_class_only, agnostic):
    rng = np.random.default_rng(3)
    params = PostprocessParams(score_threshold=0.5, iou_threshold=0.3, class_agnostic=agnostic, max_detections=60)
    run = session(120, 4, params, best_class_only=best_class_only)
    for _ in range(5):
        boxes, scores = drawn(rng, 2, 120, 4)
        scores = np.round(scores * 4) / np.float32(4)  # 0, 0.25, 0.5 ...: many are equal, many at the threshold
        boxes[:, 60:] = boxes[:, :60]  # the same boxes again
        assert all(check(run, boxes, scores, params, best_class_only=best_class_only))


def test_nothing_at_all_and_a_threshold_of_0():
    params = PostprocessParams(score_threshold=0.0, iou_threshold=0.5, max_detections=10)
    run = session(30, 2, params, best_class_only=True)
    boxes, scores = drawn(np.random.default_rng(0), 3, 30, 2)
    scores[1] = 0
    assert min(check(run, boxes, scores, params, best_class_only=True)) > 0
    none = session(30, 2, PostprocessParams(score_threshold=1.0, max_detections=10), best_class_only=True)
    dets, counts = none.run(None, {"given_boxes": boxes, "given_scores": scores})
    assert (counts.tolist(), dets.any()) == ([0, 0, 0], False)


def test_a_fixed_batch():
    params = PostprocessParams(score_threshold=0.5, max_detections=7)
    run = session(50, 3, params, best_class_only=False, batch=2)
    assert [entry.shape for entry in run.get_outputs()] == [[2, 7, 6], [2]]
    assert all(check(run, *drawn(np.random.default_rng(1), 2, 50, 3), params, best_class_only=False))
