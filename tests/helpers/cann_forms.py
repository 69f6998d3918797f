"""Forms of operators that CANN's parser misreads, refuses or is not known to read, and forms that it reads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from helpers.small_files import node

AXES, ALL_AXES = np.array([2, 3]), np.array([0, 1, 2, 3])
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
DOUBLE = {"s": np.float32([1, 1, 2, 2])}
POOL = {"kernel_shape": [3, 3]}


class Form(NamedTuple):
    """One or more nodes, the last of which is looked at, and what they need."""

    nodes: Any
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to


def form(op_type, *inputs, constants=None, shape=None, opset=18, outputs=("y",), before=(), **attributes):
    options = {"opset": opset, "constants": constants or {}}
    if shape is not None:
        options["inputs"] = {"x": shape}
    return Form([*before, node(op_type, *inputs, outputs=outputs, **attributes)], options)


def resize(*, constants=None, shape=None, opset=18, inputs=("x", "", "s"), **attributes):
    return form("Resize", *inputs, constants=DOUBLE | (constants or {}), shape=shape, opset=opset, **attributes)


def reduce(op_type, *, opset=18, axes=None, **attributes):
    """A Reduce as its opset writes axes: an attribute before 18, an input from then on."""
    if axes is None:
        return form(op_type, opset=opset, **attributes)
    if opset < 18:
        return form(op_type, opset=opset, axes=axes, **attributes)
    return form(op_type, "x", "a", constants={"a": np.array(axes)}, **attributes)


def transposed(name, **attributes):
    source, target = ("x", "z") if name == "first" else ("z", "y")
    return node("ConvTranspose", source, "w", outputs=(target,), name=name, kernel_shape=[3, 3], **attributes)


CONV = {"w": np.zeros((4, 4, 3, 3), np.float32)}
CUBE = {"w": np.zeros((4, 4, 3, 3, 3), np.float32)}
INDEX = {"i": np.zeros((1, 1), np.int64), "u": np.zeros((1, 4, 8, 8), np.float32)}
ELEMENTS = {"i": np.zeros((1, 1, 1, 1), np.int64), "u": np.zeros((1, 1, 1, 1), np.float32)}
NORM = {key: np.ones(4, np.float32) for key in "abcd"}
INSTANCE = {key: np.ones(4, np.float32) for key in "ab"}

# By trap: forms that are one, and forms of the same operator that are none.
CASES = {
    "shape-part": (
        [form("Shape", start=0, end=2), form("Shape", start=1), form("Shape", end=-1), form("Shape", end=1, opset=15)],
        [form("Shape"), form("Shape", start=0), form("Shape", end=4), form("Shape", opset=15)],
    ),
    "split-no-sizes": (
        [form("Split", axis=1, num_outputs=2, outputs=("y", "z"))],
        [form("Split", "x", "s", axis=1, constants={"s": np.array([1, 3])}, outputs=("y", "z"))],
    ),
    "split-equal-parts": (
        [form("Split", axis=1, outputs=("y", "z"), opset=17), form("Split", axis=1, outputs=("y", "z"), opset=13)],
        [form("Split", "x", "s", axis=1, constants={"s": np.array([2, 2])}, outputs=("y", "z"), opset=17)],
    ),
    "split-computed-sizes": (
        [form("Split", "x", "n", axis=1, outputs=("y", "z"), before=[node("Shape", outputs=("n",), name="before")])],
        [form("Split", "x", "s", axis=1, constants={"s": np.array([1, 3])}, outputs=("y", "z"))],
    ),
    "reduce-mean-axes-input": (
        [reduce("ReduceMean", axes=[2, 3]), reduce("ReduceMean"), reduce("ReduceMean", noop_with_empty_axes=1)],
        [reduce("ReduceMean", opset=17, axes=[2, 3]), form("GlobalAveragePool")],
    ),
    "reduce-axes-input": (
        [
            reduce(name, axes=[2, 3])
            for name in ("ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp", "ReduceLogSum")
        ],
        [form("GlobalMaxPool"), reduce("ReduceSum", axes=[2, 3])],
    ),
    "reduce-axes-attribute": (
        [
            reduce(name, opset=opset, axes=[2, 3])
            for name in ("ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp")
            for opset in (13, 17)
        ],
        [reduce("ReduceMax", axes=[2, 3]), form("GlobalMaxPool", opset=17)],
    ),
    "reduce-all-axes": (
        [reduce("ReduceMean", opset=17), reduce("ReduceMax", opset=13), reduce("ReduceMin")],
        [reduce("ReduceMean", opset=17, axes=[0, 1, 2, 3])],
    ),
    "reduce-sum-all-axes": (
        [reduce("ReduceSum")],
        [reduce("ReduceSum", axes=[0, 1, 2, 3])],
    ),
    "reduce-sum-square-axes-input": (
        [reduce("ReduceSumSquare", axes=[2, 3])],
        [reduce("ReduceSumSquare", opset=17, axes=[2, 3])],
    ),
    "resize-nearest-mode": (
        [
            resize(**NEAREST | {"nearest_mode": "ceil"}),
            resize(**NEAREST | {"nearest_mode": "round_prefer_ceil"}),
            resize(constants={"s": np.float32([1, 1, 3, 3])}, **NEAREST | {"nearest_mode": "round_prefer_floor"}),
        ],
        [resize(**NEAREST), resize(**LINEAR)],
    ),
    "resize-nearest-mode-open": (
        [
            resize(**NEAREST | {"nearest_mode": "round_prefer_floor"}),
            resize(**NEAREST | {"coordinate_transformation_mode": "half_pixel"}),
            resize(mode="nearest"),
            resize(constants={"s": np.float32([1, 1, 1.5, 1.5])}, **NEAREST | {"nearest_mode": "ceil"}),
        ],
        [resize(**NEAREST), resize(opset=11, **NEAREST), resize(**LINEAR)],
    ),
    "resize-coordinates": (
        [resize(**NEAREST | {"coordinate_transformation_mode": "tf_half_pixel_for_nn"})],
        [resize(**NEAREST)],
    ),
    "resize-coordinates-open": (
        [resize(**LINEAR | {"coordinate_transformation_mode": "tf_crop_and_resize"})],
        [resize(**LINEAR)],
    ),
    "resize-antialias": (
        [resize(constants={"s": np.float32([1, 1, 0.5, 0.5])}, antialias=1, **LINEAR)],
        [resize(constants={"s": np.float32([1, 1, 0.5, 0.5])}, antialias=0, **LINEAR)],
    ),
    "resize-antialias-open": ([resize(antialias=1, **LINEAR)], [resize(antialias=0, **LINEAR)]),
    "resize-axes": (
        [resize(constants={"s": np.float32([2, 2])}, axes=[2, 3], **NEAREST)],
        [resize(axes=[0, 1, 2, 3], **NEAREST)],
    ),
    "resize-aspect-ratio": (
        [
            resize(
                constants={"n": np.array([1, 4, 16, 32])},
                inputs=("x", "", "", "n"),
                keep_aspect_ratio_policy="not_larger",
                **NEAREST,
            )
        ],
        [resize(constants={"n": np.array([1, 4, 16, 16])}, inputs=("x", "", "", "n"), **NEAREST)],
    ),
    "resize-cubic-settings": (
        [resize(mode="cubic", cubic_coeff_a=-0.5), resize(mode="cubic", exclude_outside=1)],
        [resize(**LINEAR)],
    ),
    "resize-cubic": ([resize(mode="cubic"), resize(mode="cubic", cubic_coeff_a=-0.75)], [resize(**LINEAR)]),
    "resize-rank": (
        [resize(shape=(1, 4, 8), constants={"s": np.float32([1, 1, 2])}, **NEAREST)],
        [resize(**NEAREST)],
    ),
    "resize-rank-open": (
        [resize(shape=(1, 4, 8), constants={"s": np.float32([1, 1, 2])}, **LINEAR)],
        [resize(**LINEAR)],
    ),
    "resize-inputs": ([resize(inputs=("x",), **NEAREST)], [resize(**NEAREST)]),
    "resize-inputs-open": ([resize(inputs=("x",), **NEAREST)], [resize(**NEAREST)]),
    "pad-axes": (
        [form("Pad", "x", "p", "", "a", constants={"p": np.array([1, 1, 1, 1]), "a": AXES})],
        [
            form("Pad", "x", "p", constants={"p": np.array([0, 0, 1, 1] * 2)}),
            form("Pad", "x", "p", "", "a", constants={"p": np.array([0, 0, 1, 1] * 2), "a": ALL_AXES}),
        ],
    ),
    "instance-norm-rank": (
        [form("InstanceNormalization", "x", "a", "b", constants=INSTANCE, shape=(1, 4, 8))],
        [form("InstanceNormalization", "x", "a", "b", constants=INSTANCE)],
    ),
    "scatter-nd-reduction": (
        [form("ScatterND", "x", "i", "u", constants=INDEX, reduction="add")],
        [
            form("ScatterND", "x", "i", "u", constants=INDEX),
            form("ScatterND", "x", "i", "u", constants=INDEX, opset=16),
        ],
    ),
    "scatter-nd-reduction-open": (
        [form("ScatterND", "x", "i", "u", constants=INDEX, reduction="mul", opset=16)],
        [form("ScatterND", "x", "i", "u", constants=INDEX, reduction="none")],
    ),
    "scatter-elements-reduction": (
        [form("ScatterElements", "x", "i", "u", constants=ELEMENTS, reduction="max")],
        [form("ScatterElements", "x", "i", "u", constants=ELEMENTS)],
    ),
    "clip-no-bound": (
        [form("Clip"), form("Clip", "x", "", "", opset=11)],
        [
            form("Clip", "x", "a", constants={"a": np.float32(0)}),
            form("Clip", "x", "", "a", constants={"a": np.float32(1)}),
        ],
    ),
    "transpose-no-perm": ([form("Transpose")], [form("Transpose", perm=[0, 2, 3, 1])]),
    "gather-nd-batch": (
        [form("GatherND", "x", "i", constants={"i": np.zeros((1, 1), np.int64)}, batch_dims=1)],
        [form("GatherND", "x", "i", constants={"i": np.zeros((1, 1), np.int64)})],
    ),
    "arg-max-last": ([form("ArgMax", axis=1, select_last_index=1)], [form("ArgMax", axis=1)]),
    "max-pool-indices": (
        [form("MaxPool", outputs=("y", "z"), **POOL), form("MaxPool", storage_order=1, **POOL)],
        [form("MaxPool", storage_order=0, **POOL)],
    ),
    "max-pool-dilations": (
        [form("MaxPool", dilations=[1, 2], **POOL)],
        [form("MaxPool", dilations=[1, 1], **POOL)],
    ),
    "max-pool-large": (
        [
            form("MaxPool", shape=(1, 4, 99, 99), kernel_shape=[16, 16], strides=[2, 2], ceil_mode=1),
            form("MaxPool", shape=(1, 4, 99, 99), kernel_shape=[3, 3], strides=[64, 1], ceil_mode=1),
        ],
        [
            form("MaxPool", shape=(1, 4, 99, 99), kernel_shape=[15, 17], strides=[63, 63], ceil_mode=1),
            form("MaxPool", shape=(1, 4, 99, 99), kernel_shape=[16, 16], strides=[64, 64]),
        ],
    ),
    "pool-same-lower": (
        [
            form("MaxPool", auto_pad="SAME_LOWER", kernel_shape=[2, 2], strides=[1, 1]),
            form("AveragePool", auto_pad="SAME_LOWER", kernel_shape=[3, 3], strides=[2, 2]),
        ],
        [
            form("MaxPool", auto_pad="SAME_UPPER", kernel_shape=[2, 2]),
            form("AveragePool", auto_pad="SAME_LOWER", kernel_shape=[3, 3], strides=[1, 1]),
            form("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
        ],
    ),
    "conv-kernel-shape": (
        [form("Conv", "x", "w", constants=CONV)],
        [form("Conv", "x", "w", constants=CONV, kernel_shape=[3, 3])],
    ),
    "conv-3d-auto-pad": (
        [form("Conv", "x", "w", constants=CUBE, shape=(1, 4, 8, 8, 8), kernel_shape=[3, 3, 3], auto_pad="SAME_UPPER")],
        [
            form("Conv", "x", "w", constants=CUBE, shape=(1, 4, 8, 8, 8), kernel_shape=[3, 3, 3]),
            form("Conv", "x", "w", constants=CONV, kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        ],
    ),
    "conv-transpose-kernel-shape": (
        [form("ConvTranspose", "x", "w", constants=CONV)],
        [form("ConvTranspose", "x", "w", constants=CONV, kernel_shape=[3, 3])],
    ),
    "conv-transpose-leak": (
        [Form([transposed("first", output_shape=[10, 10]), transposed("second")], {"constants": CONV})],
        [
            Form([transposed("first"), transposed("second", output_shape=[12, 12])], {"constants": CONV}),
            Form(
                [transposed("first", output_shape=[10, 10]), transposed("second", auto_pad="NOTSET")],
                {"constants": CONV},
            ),
        ],
    ),
    "reshape-zero": (
        [form("Reshape", "x", "s", constants={"s": np.array([0, 4, 64])}, allowzero=1)],
        [
            form("Reshape", "x", "s", constants={"s": np.array([1, 4, 64])}, allowzero=1),
            form("Reshape", "x", "s", constants={"s": np.array([0, 4, 64])}),
        ],
    ),
    "reshape-allowzero": (
        [form("Reshape", "x", "n", allowzero=1, before=[node("Shape", outputs=("n",), name="before")])],
        [form("Reshape", "x", "n", before=[node("Shape", outputs=("n",), name="before")])],
    ),
    "constant-value": (
        [form("Constant", name="the_node", value_float=1.0), form("Constant", value_ints=[1, 2])],
        [],
    ),
    "log-softmax-axis": (
        [form("LogSoftmax", opset=12), form("LogSoftmax", opset=8)],
        [
            form("LogSoftmax", opset=13),
            form("LogSoftmax", opset=12, axis=1),
            form("LogSoftmax", opset=12, shape=(1, 4)),
        ],
    ),
    "batch-norm-training": (
        [form("BatchNormalization", "x", *"abcd", constants=NORM, outputs=("y", "m", "v"), training_mode=1)],
        [form("BatchNormalization", "x", *"abcd", constants=NORM)],
    ),
    "grid-sample-rank": (
        [
            form(
                "GridSample",
                "x",
                "g",
                constants={"g": np.zeros((1, 2, 2, 2, 3), np.float32)},
                shape=(1, 4, 8, 8, 8),
                mode="bilinear",
                padding_mode="zeros",
            )
        ],
        [
            form(
                "GridSample",
                "x",
                "g",
                constants={"g": np.zeros((1, 2, 2, 2), np.float32)},
                mode="bilinear",
                padding_mode="zeros",
            )
        ],
    ),
    "grid-sample-defaults": (
        [form("GridSample", "x", "g", constants={"g": np.zeros((1, 2, 2, 2), np.float32)}, mode="bilinear")],
        [
            form(
                "GridSample",
                "x",
                "g",
                constants={"g": np.zeros((1, 2, 2, 2), np.float32)},
                mode="nearest",
                padding_mode="border",
            )
        ],
    ),
    "global-max-pool-rank": ([form("GlobalMaxPool", shape=(1, 4, 8, 8, 8))], [form("GlobalMaxPool")]),
    "mean-broadcast": (
        [form("Mean", "x", "a", constants={"a": np.ones((4, 1, 1), np.float32)})],
        [form("Mean", "x", "x")],
    ),
    "einsum": ([form("Einsum", "x", "x", equation="abcd,abcd->ab")], []),
    "prelu-slope": (
        [form("PRelu", "x", "a", constants={"a": np.ones((4, 1, 1), np.float32)})],
        [form("PRelu", "x", "a", constants={"a": np.ones(1, np.float32)})],
    ),
}
