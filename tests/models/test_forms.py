"""Outputs that are decoded inside the network, against the numpy postprocessing of the raw ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvport.errors import UsageError
from cvport.models.nanodet.postprocess import ImageTransform as NanodetTransform
from cvport.models.ops.detector import grid
from cvport.models.registry import get_model
from cvport.models.yolox.postprocess import ImageTransform as YoloxTransform

LABELS = ("a", "b", "c")
SIZE = (96, 160)
TRANSFORMS = {
    "yolox": [YoloxTransform(320, 190, 0.5), YoloxTransform(80, 48, 2.0), YoloxTransform(160, 96, 1.0)],
    "nanodet": [
        NanodetTransform(320, 190, 160, 96),
        NanodetTransform(80, 48, 160, 96),
        NanodetTransform(7, 9, 160, 96),
    ],
}


def raw_outputs(name, rng, *, empty=()):
    """Outputs of three images, of which some are *empty*: no score comes near a threshold."""
    outputs = {}
    for level, stride in enumerate(get_model(name).params_types[1]().strides):
        cells = (3, grid(stride, SIZE))
        channels = {"cls": 3, "reg": 4, "obj": 1} if name == "yolox" else {"cls_score": 3, "bbox_pred": 32}
        for kind, count in channels.items():
            values = rng.normal(0.5, 1.5, (cells[0], count, *cells[1])).astype(np.float32)
            if kind in ("cls", "obj", "cls_score"):
                values[list(empty)] -= 20
            outputs[f"{kind}_{level}"] = values
    return outputs


def decoded(spec, outputs, params):
    module = spec._load("decode")(params)
    made = module({name: torch.from_numpy(values) for name, values in outputs.items()})
    return {name: values.numpy() for name, values in made.items()}


def assert_close(found, expected):
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=2e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(found.margins, expected.margins, atol=2e-6)


@pytest.mark.parametrize("name", ["yolox", "nanodet"])
@pytest.mark.parametrize(
    ("changes", "choice"),
    [
        ({}, {}),
        ({"class_agnostic": True, "iou_threshold": 0.2}, {}),
        ({"score_threshold": 0.7, "max_detections": 5}, {}),
        ({}, {"classes": [2, 0]}),
        ({}, {"best": 30}),
    ],
)
def test_detectors(name, changes, choice):
    spec = get_model(name)
    form = spec.in_form("decoded")
    params = spec.params_types[1](**changes)
    outputs = raw_outputs(name, np.random.default_rng(len(str(changes))), empty=[1])
    inside = decoded(form, outputs, params)
    assert {key: values.shape[1:] for key, values in inside.items()} == form.output_shapes(params, LABELS, SIZE)
    expected = spec.postprocess(outputs, TRANSFORMS[name], params, LABELS, **choice)
    found = form.postprocess(inside, TRANSFORMS[name], params, LABELS, **choice)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)
    counts = [len(result) for result in found]
    assert counts[0] > 0
    assert counts[2] > 0
    assert counts[1] == (0 if "best" not in choice else counts[1])


@pytest.mark.parametrize("name", ["yolox", "nanodet"])
def test_rows_of_padding_are_left_out(name):
    form = get_model(name).in_form("decoded")
    params = form.params_types[1]()
    inside = decoded(form, raw_outputs(name, np.random.default_rng(0)), params)
    assert len(form.postprocess(inside, TRANSFORMS[name][:2], params, LABELS)) == 2


@pytest.mark.parametrize(("name", "output"), [("emotion", "logits"), ("hand_static", "scores")])
@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_classifiers(name, output, activation):
    spec = get_model(name)
    form = spec.in_form("decoded")
    params = spec.params_types[1](activation=activation)
    outputs = {output: np.random.default_rng(1).normal(0, 3, (2, 3)).astype(np.float32)}
    inside = decoded(form, outputs, params)
    assert {key: values.shape[1:] for key, values in inside.items()} == form.output_shapes(params, LABELS, SIZE)
    expected = spec.postprocess(outputs, [None, None], params, LABELS)
    for one, other in zip(form.postprocess(inside, [None, None], params, LABELS), expected, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        assert one.labels == other.labels


def test_names():
    spec = get_model("yolox")
    form = spec.in_form("decoded")
    assert (form.name, form.artifact_name, form.output_names) == ("yolox", "yolox-decoded", ("boxes", "scores"))
    assert spec.artifact_name == "yolox"
    assert spec.in_form("raw") is spec
    assert form.in_form("decoded") is form


@pytest.mark.parametrize(
    ("name", "form", "hint"),
    [
        ("landmarks68", "decoded", "already decoded"),
        ("yolox", "decodd", "Did you mean 'decoded'"),
        ("emotion", "e2e", ""),
    ],
)
def test_forms_that_are_not_there(name, form, hint):
    with pytest.raises(UsageError, match=f"{name} has no form '{form}'") as caught:
        get_model(name).in_form(form)
    assert hint in caught.value.hint
