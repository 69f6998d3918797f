"""What a checkpoint turns into: who decides each thing that its tensors do not tell."""

import json

import pytest
import torch

from cvport.errors import UsageError, WeightsError
from cvport.models.labels import COCO_LABELS
from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.weights.files import open_weights
from cvport.models.yolox.network import YOLOX
from cvport.models.yolox.postprocess import PostprocessParams
from cvport.models.yolox.preprocess import params_for
from helpers.yolox import megvii_variant

SPEC = get_model("yolox")
STATES = {}
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def state(size="nano", classes=1):
    """Tensors without values of a published network."""
    key = size, classes
    if key not in STATES:
        with torch.device("meta"):
            STATES[key] = YOLOX(megvii_variant(*key)).state_dict()
    return STATES[key]


def plan(size="nano", classes=1, *, wrapper="", config=None, **options):
    checkpoint = Checkpoint(state(size, classes), "test", "0" * 64, wrapper, config or {})
    return SPEC.plan(checkpoint, VariantOptions(**options))


def pipeline(size=(640, 640), *, mean=MEAN, std=STD, to_rgb=True, pad=114, prefix="MM"):
    """EasyCV's test pipeline, as pai_yoloxs_asff_tood3_8xb16_300e_coco.py has it."""
    return [
        {"type": f"{prefix}Resize", "img_scale": list(size), "keep_ratio": True},
        {"type": f"{prefix}Pad", "pad_to_square": True, "pad_val": [pad] * 3},
        {"type": f"{prefix}Normalize", "mean": list(mean), "std": list(std), "to_rgb": to_rgb},
        {"type": "DefaultFormatBundle", "keys": ["img"]},
        {"type": "Collect", "keys": ["img"]},
    ]


def jsonplus(value):
    """Write tuples as jsonplus does."""
    if isinstance(value, tuple):
        return {"__class__": "tuple", "__value__": [jsonplus(item) for item in value]}
    if isinstance(value, dict):
        return {key: jsonplus(item) for key, item in value.items()}
    return [jsonplus(item) for item in value] if isinstance(value, list) else value


def test_nothing_but_tensors():
    made = plan()
    assert made.variant == megvii_variant("nano", 1)
    assert made.input_size == (416, 416)
    assert made.preprocess == params_for("easycv", (416, 416))
    assert made.postprocess == PostprocessParams()
    assert (made.postprocess.score_threshold, made.postprocess.iou_threshold) == (0.3, 0.65)
    assert not made.postprocess.class_agnostic
    assert made.labels == ("hand",)
    assert set(made.decided_by) == {"activation", "input_size", "preprocess", "labels"}
    assert set(made.decided_by.values()) == {"model default"}


def test_weights_of_another_model():
    checkpoint = Checkpoint({"fc.weight": torch.zeros(2, 3)}, "test", "0" * 64)
    with pytest.raises(WeightsError, match="not those of a YOLOX network"):
        SPEC.plan(checkpoint)


# Labels


@pytest.mark.parametrize(
    ("classes", "from_config", "option", "labels", "by"),
    [
        (1, ["paw"], ("palm",), ("palm",), "option"),
        (1, ["paw"], None, ("paw",), "checkpoint config"),
        (1, None, None, ("hand",), "model default"),
        # Names of another count are those of other classes.
        (1, ["left", "right"], None, ("hand",), "model default"),
        (2, None, None, ("class_0", "class_1"), "numbered"),
        (2, ["left", "right"], None, ("left", "right"), "checkpoint config"),
        (80, None, None, COCO_LABELS, "COCO"),
        (80, ["hand"], None, COCO_LABELS, "COCO"),
        (80, [f"thing {i}" for i in range(80)], None, tuple(f"thing {i}" for i in range(80)), "checkpoint config"),
    ],
)
def test_labels(classes, from_config, option, labels, by):
    made = plan(classes=classes, config={"CLASSES": from_config} if from_config else None, labels=option)
    assert made.labels == labels
    assert made.decided_by["labels"] == by


def test_labels_where_modelscope_keeps_them():
    config = {"dataset": {"val": {"data_source": {"classes": ["left", "right"]}}}}
    assert plan(classes=2, config=config).labels == ("left", "right")


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_a_wrong_number_of_labels(labels):
    with pytest.raises(UsageError, match=f"{len(labels)} labels were given, the network has 1 classes") as caught:
        plan(config={"CLASSES": ["hand"]}, labels=labels)
    assert caught.value.hint


def test_coco_labels():
    assert len(COCO_LABELS) == len(set(COCO_LABELS)) == 80
    assert [COCO_LABELS[i] for i in (0, 5, 9, 67, 79)] == ["person", "bus", "traffic light", "cell phone", "toothbrush"]


# Preprocessing


@pytest.mark.parametrize(
    ("option", "config", "wrapper", "convention", "by"),
    [
        ("megvii-legacy", {"test_pipeline": pipeline()}, "model", "megvii-legacy", "option"),
        ("easycv", {}, "model", "easycv", "option"),
        ("megvii", {}, "state_dict", "megvii", "option"),
        (None, {"test_pipeline": pipeline()}, "model", "easycv", "checkpoint config"),
        (None, {"test_pipeline": pipeline(prefix="")}, "model", "easycv", "checkpoint config"),
        (None, {"CLASSES": ["hand"]}, "model", "megvii", "Megvii wrapping"),
        (None, {}, "model", "megvii", "Megvii wrapping"),
        (None, {}, "state_dict", "easycv", "EasyCV wrapping"),
        (None, {}, "net", "easycv", "model default"),
        (None, {}, "", "easycv", "model default"),
    ],
)
def test_convention(option, config, wrapper, convention, by):
    made = plan(wrapper=wrapper, config=config, preprocess=option, input_size=(224, 320))
    assert made.preprocess == params_for(convention, (224, 320))
    assert made.decided_by["preprocess"] == by


def test_a_pipeline_with_numbers_of_its_own():
    config = {"test_pipeline": pipeline(mean=(1, 2, 3), std=(4.5, 5, 6), pad=0)}
    params = plan(config=config, wrapper="model").preprocess
    assert params.convention == "checkpoint"
    assert (params.mean, params.std, params.pad_value) == ((1.0, 2.0, 3.0), (4.5, 5.0, 6.0), 0)
    assert (params.colour, params.rounding, params.box_scale) == ("rgb", "nearest", "width")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"to_rgb": False}, {"colour": "bgr"}),
        ({"pad": 0}, {"pad_value": 0}),
        ({"mean": (0, 0, 0)}, {"mean": (0.0, 0.0, 0.0)}),
        ({"std": (1, 1, 1)}, {"std": (1.0, 1.0, 1.0)}),
    ],
)
def test_each_number_of_a_pipeline_counts(change, expected):
    params = plan(config={"test_pipeline": pipeline(**change)}).preprocess
    assert params.convention == "checkpoint"
    assert {name: getattr(params, name) for name in expected} == expected


def test_a_pipeline_that_does_not_normalise():
    config = {"test_pipeline": [step for step in pipeline() if "Normalize" not in step["type"]]}
    params = plan(config=config).preprocess
    assert params.convention == "checkpoint"
    assert (params.colour, params.mean, params.std) == ("bgr", (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    "change", [{"std": (1, 0, 1)}, {"pad": 300}, {"pad": float("inf")}, {"mean": ("a", "b", "c")}, {"std": ([], 1, 1)}]
)
def test_a_pipeline_that_makes_no_sense(change):
    config = {"test_pipeline": pipeline(**change)}
    with pytest.raises(WeightsError, match="test pipeline in the checkpoint's config makes no sense") as caught:
        plan(config=config)
    assert "--preprocess easycv or megvii" in caught.value.hint
    assert plan(config=config, preprocess="megvii").preprocess.convention == "megvii"


def test_a_single_padding_value():
    steps = pipeline()
    steps[1]["pad_val"] = 7.0
    assert plan(config={"test_pipeline": steps}).preprocess.pad_value == 7


def test_an_unknown_convention():
    with pytest.raises(UsageError, match="no --preprocess 'megvi'") as caught:
        plan(preprocess="megvi")
    assert "megvii" in caught.value.hint


# Activation


@pytest.mark.parametrize(
    ("model", "option", "activation", "by"),
    [
        ({}, None, "silu", "model default"),
        ({"act": "relu"}, None, "relu", "checkpoint config"),
        ({"backbone": {"act": "relu"}}, None, "relu", "checkpoint config"),
        ({"head": {"act": "relu"}}, None, "relu", "checkpoint config"),
        ({"backbone": {"act": "silu"}, "head": {"type": "YOLOXHead"}}, None, "silu", "checkpoint config"),
        ({"act": "relu"}, "silu", "silu", "option"),
        ({"act": "hsilu"}, "relu", "relu", "option"),
    ],
)
def test_activation(model, option, activation, by):
    made = plan(config={"model": model}, activation=option)
    assert made.variant.activation == activation
    assert made.decided_by["activation"] == by


def test_an_activation_that_is_not_supported():
    with pytest.raises(WeightsError, match="activation 'hsilu', which is not supported") as caught:
        plan(config={"model": {"backbone": {"act": "hsilu"}}})
    assert "--activation silu or relu" in caught.value.hint
    with pytest.raises(UsageError, match="no --activation 'gelu'"):
        plan(activation="gelu")


# Input size


@pytest.mark.parametrize(
    ("size", "config", "option", "expected", "by"),
    [
        ("nano", {}, None, (416, 416), "model default"),
        ("tiny", {}, None, (416, 416), "model default"),
        ("s", {}, None, (640, 640), "model default"),
        ("m", {}, None, (640, 640), "model default"),
        ("nano", {"img_scale": [640, 640]}, None, (640, 640), "checkpoint config"),
        ("s", {"test_pipeline": pipeline((416, 416))}, None, (416, 416), "checkpoint config"),
        ("s", {"test_pipeline": pipeline((416, 416)), "img_scale": [640, 640]}, None, (416, 416), "checkpoint config"),
        # mmcv writes width, height; what does not fit the strides is rounded up.
        ("s", {"test_pipeline": pipeline((640, 384))}, None, (384, 640), "checkpoint config"),
        ("s", {"test_pipeline": pipeline((600, 600))}, None, (608, 608), "checkpoint config"),
        ("s", {"img_scale": "large"}, None, (640, 640), "model default"),
        ("s", {"img_scale": [0, 640]}, None, (640, 640), "model default"),
        ("s", {"img_scale": [416]}, None, (640, 640), "model default"),
        ("nano", {"img_scale": [640, 640]}, (320, 256), (320, 256), "option"),
    ],
)
def test_input_size(size, config, option, expected, by):
    made = plan(size, config=config, input_size=option)
    assert made.input_size == expected
    assert made.preprocess.input_size == expected
    assert made.decided_by["input_size"] == by


@pytest.mark.parametrize("size", [(100, 96), (96, 100), (0, 32), (-32, 32)])
def test_an_input_size_that_does_not_fit_the_strides(size):
    with pytest.raises(UsageError, match=f"input size {size[0]},{size[1]} does not fit yolox"):
        plan(input_size=size)


# Files


def zeros(size="nano", classes=1):
    return {key: torch.zeros(tensor.shape, dtype=tensor.dtype) for key, tensor in state(size, classes).items()}


def test_an_easycv_raw_export(tmp_path):
    config = {
        "model": {"type": "YOLOX", "backbone": {"type": "CSPDarknet", "act": "relu"}},
        "test_pipeline": pipeline((416, 416)),
        "CLASSES": ["left", "right"],
    }
    content = {"state_dict": zeros(classes=2), "meta": {"config": json.dumps(config)}, "author": "EasyCV"}
    torch.save(content, tmp_path / "export.pth")
    made = SPEC.plan(open_weights(SPEC, tmp_path / "export.pth"))
    assert made.variant.activation == "relu"
    assert made.labels == ("left", "right")
    assert made.preprocess == params_for("easycv", (416, 416))
    assert set(made.decided_by.values()) == {"checkpoint config"}


def test_a_config_that_is_a_dictionary_with_tuples(tmp_path):
    config = {"img_scale": (640, 640), "CLASSES": ("left", "right")}
    torch.save({"state_dict": zeros(classes=2), "meta": {"config": config}}, tmp_path / "export.pth")
    made = SPEC.plan(open_weights(SPEC, tmp_path / "export.pth"))
    assert made.labels == ("left", "right")
    assert made.input_size == (640, 640)


def test_the_python_text_in_a_training_checkpoint_is_left_alone(tmp_path):
    mark = tmp_path / "executed"
    text = f"__import__('pathlib').Path({str(mark)!r}).touch()\nCLASSES = ['left']\nmodel = dict(act='relu')\n"
    meta = {"config": text, "easycv_version": "0.6.1", "epoch": 300}
    torch.save({"meta": meta, "state_dict": zeros(), "optimizer": {"state": {}}}, tmp_path / "epoch_300.pth")
    checkpoint = open_weights(SPEC, tmp_path / "epoch_300.pth")
    made = SPEC.plan(checkpoint)
    assert checkpoint.config == {}
    assert made.labels == ("hand",)
    assert made.variant.activation == "silu"
    assert made.decided_by["preprocess"] == "EasyCV wrapping"
    assert not mark.exists()


def test_a_modelscope_folder(tmp_path):
    val = {
        "type": "DetImagesMixDataset",
        "data_source": {"type": "DetSourceCoco", "classes": ("left", "right")},
        "pipeline": [
            {"type": "MMResize", "img_scale": (640, 640), "keep_ratio": True},
            {"type": "MMPad", "pad_to_square": True, "pad_val": (114.0, 114.0, 114.0)},
            {"type": "MMNormalize", "mean": tuple(MEAN), "std": tuple(STD), "to_rgb": True},
        ],
    }
    config = {
        "framework": "pytorch",
        "task": "domain-specific-object-detection",
        "model": {"type": "YOLOX", "head": {"act": "relu"}, "__easycv_arch__": {"type": "YOLOX"}},
        "dataset": {"val": val},
        "pipeline": {"predictor_config": None},
    }
    (tmp_path / "configuration.json").write_text(json.dumps(jsonplus(config)), encoding="utf-8")
    torch.save({"state_dict": zeros(classes=2)}, tmp_path / "pytorch_model.pt")
    checkpoint = open_weights(SPEC, tmp_path)
    made = SPEC.plan(checkpoint)
    assert made.labels == ("left", "right")
    assert made.variant.activation == "relu"
    assert made.preprocess == params_for("easycv", (640, 640))
    assert set(made.decided_by.values()) == {"checkpoint config"}


def test_the_config_in_the_file_wins_over_the_folders(tmp_path):
    (tmp_path / "configuration.json").write_text('{"CLASSES": ["folder"]}', encoding="utf-8")
    content = {"state_dict": zeros(), "meta": {"config": '{"CLASSES": ["file"]}'}}
    torch.save(content, tmp_path / "pytorch_model.pt")
    assert SPEC.plan(open_weights(SPEC, tmp_path)).labels == ("file",)


def test_seeded_weights_are_the_default_network():
    made = SPEC.plan(open_weights(SPEC, "seeded"))
    assert made.variant.title == "YOLOX-s, RepVGG, ASFF, TOOD head, 1 class"
    assert made.input_size == (640, 640)
    assert made.preprocess.convention == "easycv"
    assert made.labels == ("hand",)


@pytest.mark.parametrize(
    ("wrapper", "config", "options", "guesses"),
    [
        ("", {}, {}, ("activation", "preprocess")),
        ("model", {}, {}, ("activation", "preprocess")),
        ("state_dict", {}, {"activation": "silu"}, ("preprocess",)),
        ("model", {}, {"preprocess": "easycv", "activation": "relu"}, ()),
        ("state_dict", {"test_pipeline": pipeline(), "model": {"backbone": {"act": "silu"}}}, {}, ()),
    ],
)
def test_what_neither_an_option_nor_a_configuration_tells_is_a_guess(wrapper, config, options, guesses):
    made = plan(wrapper=wrapper, config=config, **options)
    assert made.guesses == guesses
    assert set(made.guesses) <= set(made.decided_by)


def test_nothing_of_untrained_weights_is_a_guess():
    assert SPEC.plan(open_weights(SPEC, "seeded")).guesses == ()


def test_a_plan_under_every_convention():
    checkpoint = Checkpoint(state(), "test", "0" * 64, "model")
    options = VariantOptions(input_size=(64, 64), activation="relu")
    plans = SPEC.plan_each_convention(checkpoint, options)
    assert {name: made.preprocess for name, made in plans.items()} == {
        name: params_for(name, (64, 64)) for name in ("easycv", "megvii", "megvii-legacy")
    }
    assert {made.variant.activation for made in plans.values()} == {"relu"}
    assert all(made.guesses == () for made in plans.values())
    assert get_model("nanodet").plan_each_convention(checkpoint) == {}
