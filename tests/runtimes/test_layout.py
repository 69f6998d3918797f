"""A seal and a graph that do not belong together are refused before anything runs."""

from __future__ import annotations

import json

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvport import get_model
from cvport.errors import ArtifactError
from cvport.models.registry import MODELS
from cvport.runtimes.backends.base import Declared
from cvport.runtimes.layout import check_layout
from cvport.runtimes.load import load
from cvport.runtimes.seal import KEY, sealed_params
from fuzz.seals import StubBackend, seal_of
from helpers.gate import with_digest


@pytest.fixture
def changed(nano_artifact, tmp_path):
    """``changed(part, **values)`` is the small network with other values sealed, or with its graph changed."""

    def make(part=None, change=None, **values):
        model = onnx.load(nano_artifact.onnx)
        (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
        content = json.loads(entry.value)
        for place in (None, "preprocess") if part == "both" else (part,):
            (content if place is None else content[place]).update(values)
        entry.value = json.dumps(content)
        if change is not None:
            change(model.graph)
        path = tmp_path / "changed.onnx"
        path.write_bytes(with_digest(model))
        return path

    return make


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("postprocess", {"strides": [8, 8, 8]}, r"cls_1 is \(any, 3, 10, 10\), it should be \(any, 3, 20, 20\)"),
        ("postprocess", {"strides": [8, 16]}, "its parameters are for the outputs cls_0, reg_0, obj_0, cls_1, reg_1"),
        ("postprocess", {"strides": [8, 16, 32, 64]}, "its parameters are for the outputs"),
        ("postprocess", {"strides": [16, 8, 32]}, "cls_0"),
        (None, {"labels": ["a", "b"]}, r"cls_0 is \(any, 3, 20, 20\), it should be \(any, 2, 20, 20\)"),
        (None, {"batch": 2}, None),
        (None, {"input_size": [320, 160]}, r"the sealed input size \(320, 160\) is not that of the preprocessing"),
        ("preprocess", {"input_size": [320, 160]}, r"the sealed input size \(160, 160\) is not that of the preproc"),
        ("both", {"input_size": [320, 160]}, r"input is \(any, 3, 160, 160\), it should be \(any, 3, 320, 160\)"),
    ],
)
def test_seals_of_another_network(changed, part, values, message):
    path = changed(part, **values)
    if message is None:
        with load(path, backend="onnx"):
            return  # a file that takes any batch takes that one
    with pytest.raises(ArtifactError, match=message) as refusal:
        load(path, backend="onnx")
    assert refusal.value.exit_code == 4


def test_a_fixed_batch_is_the_sealed_one(nano_batch_2, tmp_path):
    model = onnx.load(nano_batch_2.onnx)
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    for batch in (3, "dynamic"):
        entry.value = json.dumps({**json.loads(entry.value), "batch": batch})
        (tmp_path / "other.onnx").write_bytes(with_digest(model))
        with pytest.raises(ArtifactError, match=f"has a batch of 2, sealed is {batch}"):
            load(tmp_path / "other.onnx", backend="onnx")


def test_outputs_of_another_type(changed):
    def to_integers(graph):
        node = next(node for node in graph.node if "obj_0" in node.output)
        node.output[0] = "obj_0/float"
        graph.node.append(onnx.helper.make_node("Cast", ["obj_0/float"], ["obj_0"], to=onnx.TensorProto.INT64))
        output = next(output for output in graph.output if output.name == "obj_0")
        output.type.tensor_type.elem_type = onnx.TensorProto.INT64

    with pytest.raises(ArtifactError, match="obj_0 is of int64"):
        load(changed(change=to_integers), backend="onnx")


def test_foreign_grids(changed):
    def pool(graph):
        node = next(node for node in graph.node if "reg_1" in node.output)
        node.output[0] = "reg_1/fine"
        sides = {"kernel_shape": [2, 2], "strides": [2, 2]}
        graph.node.append(onnx.helper.make_node("MaxPool", ["reg_1/fine"], ["reg_1"], **sides))
        output = next(output for output in graph.output if output.name == "reg_1")
        for dim in output.type.tensor_type.shape.dim[2:]:
            dim.dim_value = 5

    with pytest.raises(ArtifactError, match=r"reg_1 is \(any, 4, 5, 5\), it should be \(any, 4, 10, 10\)"):
        load(changed(change=pool), backend="onnx")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_what_it_needs(name):
    spec = get_model(name)
    _, postprocess = spec.params_types
    size = (416, 416) if spec.stride else (224, 224)
    shapes = spec.output_shapes(postprocess(), spec.labels or ("a",), size)
    assert tuple(shapes) == spec.output_names
    if name == "nanodet":
        assert shapes["cls_score_3"][1:] == (7, 7), "416 is no multiple of 64: the last level is rounded up"


@pytest.mark.parametrize("name", MODELS)
def test_any_other_side_rank_or_type_is_refused(name):
    spec, seal, path = get_model(name), seal_of(name), "some.onnx"
    _, params = sealed_params(spec, seal, path)
    declared = StubBackend(name).declared
    free = {key: None for key in declared if key.startswith("bbox_pred")}  # as many bins as the file has
    check_layout(spec, seal, params, declared, path)

    @settings(max_examples=60)
    @given(st.sampled_from(sorted(declared)), st.data())
    def check(key, data):
        dtype, shape = declared[key]
        axis = data.draw(st.integers(1, len(shape) - 1))
        side = data.draw(st.none() | st.integers(0, 10**9))
        changed = {
            "side": Declared(dtype, (*shape[:axis], side, *shape[axis + 1 :])),
            "rank": Declared(dtype, (*shape, 1)),
            "type": Declared("tensor(double)", shape),
            "batch": Declared(dtype, (3, *shape[1:])),
        }
        what = data.draw(st.sampled_from(sorted(changed)))
        fits = what == "side" and (side == shape[axis] or (key in free and axis == 1))
        if fits:
            check_layout(spec, seal, params, {**declared, key: changed[what]}, path)
            return
        with pytest.raises(ArtifactError, match=key) as refusal:
            check_layout(spec, seal, params, {**declared, key: changed[what]}, path)
        assert refusal.value.exit_code == 4

    check()
