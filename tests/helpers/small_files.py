"""Small .onnx files written by hand: a few nodes, an input x, an output y."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 4, 8, 8)


def node(op_type, *inputs, outputs=("y",), name="the_node", domain="", **attributes):
    """A node, by default from x to y."""
    return helper.make_node(op_type, inputs or ("x",), list(outputs), name=name, domain=domain, **attributes)


def graph_of(nodes, *, inputs=None, outputs=None, constants=None, name="graph"):
    """A graph; shapes may be None, sides may be names."""
    inputs = {"x": SHAPE} if inputs is None else inputs
    outputs = {"y": None} if outputs is None else outputs
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in (constants or {}).items()]
    sides = [
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in side.items()]
        for side in (inputs, outputs)
    ]
    return helper.make_graph(nodes, name, *sides, initializer=tensors)


def model_of(nodes, *, opset=18, opsets=None, ir_version=8, functions=(), **graph):
    """A model; nothing is checked, so it may be as wrong as a test wants."""
    imports = [helper.make_opsetid(*entry) for entry in (opsets or [("", opset)])]
    made = graph_of(nodes if isinstance(nodes, list) else [nodes], **graph)
    return helper.make_model(made, opset_imports=imports, ir_version=ir_version, functions=list(functions))


def write_file(path, nodes, **options):
    """Write a model and return its path."""
    onnx.save(model_of(nodes, **options), path)
    return path
