"""Parameters: made from JSON as they are sealed, and refused where they make no sense."""

import json
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pytest

from cvport.models.hand_static.postprocess import PostprocessParams as HandPostprocess
from cvport.models.nanodet.preprocess import PreprocessParams as NanoDetPreprocess
from cvport.models.params import Params, params_from_json
from cvport.models.registry import MODELS, get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint

SHAPES = {
    "yolox": lambda size: {
        f"{name}_{level}": (1, channels, size[0] // stride, size[1] // stride)
        for level, stride in enumerate((8, 16, 32))
        for name, channels in (("cls", 2), ("reg", 4), ("obj", 1))
    },
    "nanodet": lambda size: {
        f"{name}_{level}": (1, channels, size[0] // stride, size[1] // stride)
        for level, stride in enumerate((8, 16, 32, 64))
        for name, channels in (("cls_score", 2), ("bbox_pred", 32))
    },
    "hand_static": lambda _size: {"scores": (1, 2)},
    "landmarks68": lambda _size: {"landmarks": (1, 68, 2)},
    "emotion": lambda _size: {"logits": (1, 2)},
}


@pytest.fixture(params=list(MODELS))
def planned(request):
    """A model, and the parameters of its untrained network."""
    spec = get_model(request.param)
    plan = spec.plan(Checkpoint(spec.seeded(0), "seeded:0", "", untrained=True), VariantOptions())
    return spec, plan.preprocess, plan.postprocess


def through_json(params):
    return json.loads(json.dumps(asdict(params)))


def test_parameters_take_json_values_and_work_with_them(planned):
    spec, *sealed = planned
    preprocess, postprocess = (type(params)(**through_json(params)) for params in sealed)
    assert [preprocess, postprocess] == sealed
    assert hash(preprocess) == hash(sealed[0])
    assert [params_from_json(type(params), through_json(params)) for params in sealed] == sealed

    image = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
    values, transform = spec.preprocess(image, preprocess)
    np.testing.assert_array_equal(values, spec.preprocess(image, sealed[0])[0])
    shapes = SHAPES[spec.name](preprocess.input_size)
    outputs = {name: np.full(shape, 0.25, np.float32) for name, shape in shapes.items()}
    results = [spec.postprocess(outputs, [transform], params, ("a", "b"))[0] for params in (postprocess, sealed[1])]
    assert results[0].to_dict() == results[1].to_dict()


def test_every_field_is_checked(planned):
    for params in planned[1:]:
        for name in asdict(params):
            for wrong in (None, {}, [], [[1]], object()):
                with pytest.raises(ValueError, match=name):
                    replace(params, **{name: wrong})


@dataclass(frozen=True)
class Example(Params):
    legacy: ClassVar = {"length": ("size", {}), "kind": ("colour", {"red-green-blue": "rgb"})}

    size: tuple[int, int]
    colour: Literal["rgb", "bgr"] = "bgr"
    strides: tuple[int, ...] = (8,)
    factor: float = 1.0
    on: bool = False
    name: str = ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": [1]}, "size is (1,), which is not 2 whole numbers"),
        ({"size": [1, 2.5]}, "size is (1, 2.5), which is not 2 whole numbers"),
        ({"size": [1, True]}, "size is (1, True), which is not 2 whole numbers"),
        ({"size": "12"}, "size is '12', which is not 2 whole numbers"),
        ({"strides": []}, "strides is (), which is empty"),
        ({"colour": "grey"}, "colour is 'grey', which is not 'rgb' or 'bgr'"),
        ({"factor": "1"}, "factor is '1', which is not a number"),
        ({"factor": float("nan")}, "factor is nan, which is not a number"),
        ({"on": 1}, "on is 1, which is not true or false"),
        ({"name": 1}, "name is 1, which is not a text"),
    ],
)
def test_wrong_types_and_lengths_are_named(values, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Example(**{"size": (1, 2), **values})
    assert str(caught.value) == message


def test_numbers_of_numpy_are_numbers():
    assert Example((np.int64(1), 2), factor=np.float32(0.5)).factor == 0.5
    assert Example((1, 2), factor=3).factor == 3


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(ValueError, match=r"unknown: hue, tint; missing: colour, factor, name, strides"):
        params_from_json(Example, {"size": [1, 2], "on": True, "tint": 1, "hue": 2})
    with pytest.raises(ValueError, match=r"it does not fit Example: \[1, 2\] is no object"):
        params_from_json(Example, [1, 2])


def test_what_an_older_version_wrote_is_translated():
    old = {"length": [3, 4], "kind": "red-green-blue"}
    assert params_from_json(Example, old, legacy=True) == Example((3, 4), "rgb")
    assert params_from_json(Example, {"size": [3, 4], "kind": "bgr"}, legacy=True) == Example((3, 4), "bgr")
    with pytest.raises(ValueError, match="unknown: kind, length"):
        params_from_json(Example, old)
    with pytest.raises(ValueError, match="unknown: tint"):
        params_from_json(Example, {**old, "tint": 1}, legacy=True)
    with pytest.raises(ValueError, match=r"it does not fit Example \(missing: size\)"):
        params_from_json(Example, {"kind": "bgr"}, legacy=True)
    with pytest.raises(ValueError, match=r"colour is \('x',\)"):
        params_from_json(Example, {"size": [1, 2], "kind": ["x"]}, legacy=True)


@pytest.mark.parametrize(("fixed", "alignment"), [("pixel", "asymmetric"), ("corner", "half_pixel")])
def test_parameters_sealed_by_version_1_are_read(fixed, alignment):
    old = {"input_size": [320, 320], "colour": "bgr", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "fixed": fixed}
    params = params_from_json(NanoDetPreprocess, old, legacy=True)
    assert params == NanoDetPreprocess((320, 320), "bgr", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), alignment)
    assert params_from_json(HandPostprocess, {}, legacy=True).activation == "none"
