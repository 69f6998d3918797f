"""The variant of a YOLOX network, read from keys and shapes."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from cvport.errors import UsageError, WeightsError
from cvport.models.yolox.network import YOLOX
from cvport.models.yolox.variant import DEFAULT_VARIANT, SIZES, Variant, infer_variant
from helpers.yolox import megvii_variant

PAI = replace(
    DEFAULT_VARIANT,
    attention=None,
    asff_channels=0,
    expand_kernel=0,
    head="YOLOXHead",
    stacked_convs=0,
    attention_hidden=0,
)
CONFIGS = {
    "easycv_s_csp": megvii_variant("s", 1),
    "megvii_nano": megvii_variant("nano", 80),
    "megvii_s": megvii_variant("s", 80),
    "megvii_tiny": megvii_variant("tiny", 80),
    "megvii_tiny_c1": megvii_variant("tiny", 1),
    "pai_s": PAI,
    "pai_s_asff": replace(PAI, attention="ASFF", asff_channels=2, expand_kernel=3),
    "pai_s_asff_tood": DEFAULT_VARIANT,
    "pai_s_asff_tood_repconv": replace(DEFAULT_VARIANT, conv_type="repconv"),
    "pai_s_asffsim": replace(PAI, attention="ASFF_sim", asff_channels=2, expand_kernel=3),
    "pai_s_gsconv": replace(PAI, neck="gsconv"),
    "pai_s_gsconvpart_tood_dwconv": replace(
        PAI,
        neck="gsconv",
        neck_mode="part",
        head="TOODHead",
        conv_type="dwconv",
        stacked_convs=3,
        attention_hidden=4,
    ),
}


def shapes_of(variant):
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in YOLOX(variant).state_dict().items()}


def manifest_shapes(shared, config, name="manifest.json"):
    path = shared / "goldens/yolox" / config / name
    if not path.is_file():
        return None
    return {entry["key"]: tuple(entry["shape"]) for entry in json.loads(path.read_text())["entries"]}


@pytest.mark.parametrize("config", CONFIGS)
def test_upstream_keys_give_the_variant_in_train_and_deploy_form(shared, config):
    expected = CONFIGS[config]
    assert infer_variant(manifest_shapes(shared, config)) == expected
    deployed = manifest_shapes(shared, config, "manifest_deploy.json")
    assert (deployed is not None) == (expected.backbone == "RepVGGYOLOX")
    if deployed:
        assert infer_variant(deployed) == replace(expected, form="deploy")


STRUCTURES = [
    *(megvii_variant(size, classes) for size in SIZES for classes in (1, 80)),
    replace(megvii_variant("nano", 3), depthwise=False, conv_type="conv"),
    replace(megvii_variant("s", 2), conv_type="repconv", form="deploy"),
    *(
        replace(
            PAI, neck=neck, neck_mode=mode, attention=attention, asff_channels=5, expand_kernel=1, conv_type=conv_type
        )
        for (neck, mode), attention, conv_type in itertools.product(
            (("yolo", "all"), ("gsconv", "all"), ("gsconv", "part")),
            ("ASFF", "ASFF_sim"),
            ("conv", "dwconv", "repconv"),
        )
    ),
    replace(DEFAULT_VARIANT, stacked_convs=6, attention_hidden=16, num_classes=7),
    replace(DEFAULT_VARIANT, blocks=(2, 3, 4, 6), neck_blocks=12, width=0.25),
]


@pytest.mark.parametrize("variant", STRUCTURES, ids=lambda variant: variant.title)
def test_what_a_network_is_built_from_is_read_back_from_its_keys(variant):
    assert infer_variant(shapes_of(variant)) == variant


@pytest.mark.parametrize(
    ("size", "classes", "parameters", "keys"),
    [
        ("nano", 80, 912_159, 642),
        ("nano", 1, 896_754, 642),
        ("tiny", 80, 5_055_855, 462),
        ("s", 80, 8_968_255, 462),
        ("m", 80, 25_326_495, 606),
        ("m", 1, 25_280_754, 606),
        ("l", 80, 54_208_895, 750),
        ("l", 1, 54_147_986, 750),
        ("x", 80, 99_071_455, 894),
        ("x", 1, 98_995_378, 894),
    ],
)
def test_published_sizes_have_the_published_counts(size, classes, parameters, keys):
    with torch.device("meta"):
        network = YOLOX(megvii_variant(size, classes))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == keys
    assert network.variant.size == size


def test_easycv_nano_is_not_depthwise():
    variant = replace(megvii_variant("nano", 80), depthwise=False, conv_type="conv")
    assert variant.size == "nano"
    shapes = shapes_of(variant)
    assert infer_variant(shapes) == variant
    assert shapes["backbone.backbone.dark2.0.conv.weight"] == (32, 16, 3, 3)


@pytest.mark.parametrize(
    "damage",
    [
        {"head.stems.0.conv.weight": None},
        {"head.stems.0.conv.weight": (100, 128, 1, 1)},
        {"head.cls_preds.0.weight": None, "head.cls_preds.0.bias": None},
        {"head.cls_preds.1.weight": (9, 128, 1, 1), "head.cls_preds.1.bias": ()},
        {"backbone.backbone.stage0.rbr_dense.conv.weight": None},
        {"backbone.backbone.stage3.2.rbr_dense.conv.weight": None},
        {"backbone.asff_1.stride_level_1.conv.weight": None, "backbone.asff_1.expand.conv.weight": (512, 512, 5, 5)},
        {"backbone.asff_1.weight_level_0.conv.weight": None},
        {"head.inter_convs.0.conv.weight": None},
        {"head.cls_decomps.0.layer_attention.0.weight": (1, 1, 1, 1)},
        {"head.cls_convs.0.0.conv.weight": None, "head.cls_convs.0.0.bn.weight": None},
        {"some.other.key": (1,)},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_few_damaged_keys_do_not_change_the_variant(damage):
    shapes = {**shapes_of(DEFAULT_VARIANT), **damage}
    assert infer_variant({key: shape for key, shape in shapes.items() if shape is not None}) == DEFAULT_VARIANT


@pytest.mark.parametrize(
    ("shapes", "looked_for"),
    [
        ({}, "backbone.backbone.stem.conv.conv.weight"),
        ({"model.0.weight": (3, 3)}, "backbone.backbone.stage0.rbr_"),
        ({"backbone.backbone.stem.conv.conv.weight": ()}, "head.stems.0.conv.weight"),
        ({"backbone.backbone.stem.conv.conv.weight": (32, 12, 3, 3)}, "head.cls_preds.0.weight"),
    ],
)
def test_foreign_keys_are_refused_with_what_was_looked_for(shapes, looked_for):
    with pytest.raises(WeightsError) as caught:
        infer_variant(shapes)
    assert looked_for in caught.value.message
    assert caught.value.hint


def test_activation_is_told_not_read():
    shapes = shapes_of(megvii_variant("nano", 1))
    assert infer_variant(shapes).activation == "silu"
    assert infer_variant(shapes, "relu").activation == "relu"
    with pytest.raises(UsageError, match="Did you mean 'relu'"):
        infer_variant(shapes, "relu6")


def test_unknown_size_is_refused():
    with pytest.raises(UsageError, match="'xl'"):
        megvii_variant("xl", 80)


@pytest.mark.parametrize(
    ("variant", "size", "title"),
    [
        (DEFAULT_VARIANT, "s", "YOLOX-s, RepVGG, ASFF, TOOD head, 1 class"),
        (megvii_variant("nano", 80), "nano", "YOLOX-nano, depthwise, 80 classes"),
        (replace(megvii_variant("x", 2), activation="relu"), "x", "YOLOX-x, 2 classes, ReLU"),
        (replace(DEFAULT_VARIANT, neck_blocks=2), "w0.5-d2", "YOLOX-w0.5-d2, RepVGG, ASFF, TOOD head, 1 class"),
        (
            CONFIGS["pai_s_gsconvpart_tood_dwconv"],
            "s",
            "YOLOX-s, RepVGG, partial GSConv neck, TOOD head, depthwise head branches, 1 class",
        ),
    ],
)
def test_names_for_people(variant, size, title):
    assert variant.size == size
    assert variant.title == title


def test_to_dict_survives_json():
    fields = json.loads(json.dumps(DEFAULT_VARIANT.to_dict()))
    assert Variant(**{**fields, "blocks": tuple(fields["blocks"])}) == DEFAULT_VARIANT


def test_import_needs_no_torch():
    code = "import sys, cvport.models.yolox.variant; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
