"""The structure of a network, read from the keys and shapes of its checkpoint."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from cvport.errors import WeightsError
from cvport.models.nanodet.network import NanoDetPlus
from cvport.models.nanodet.variant import DEFAULT_VARIANT, PROJECT, SIZES, Variant, infer_variant

VARIANTS = [
    DEFAULT_VARIANT,
    replace(DEFAULT_VARIANT, num_classes=80),
    replace(DEFAULT_VARIANT, num_classes=1, stages=SIZES["1.5x"], neck=128),
    replace(DEFAULT_VARIANT, stages=SIZES["0.5x"], head_convs=3, neck_kernel=3, head_kernel=7),
    replace(DEFAULT_VARIANT, reg_max=10, repeats=(2, 3, 12), neck_blocks=2, stem=16, stages=(32, 64, 100)),
]


def shapes_of(variant):
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in NanoDetPlus(variant).state_dict().items()}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.title)
def test_a_variant_is_read_back_from_its_own_network(variant):
    assert infer_variant(shapes_of(variant)) == variant


@pytest.mark.parametrize(
    "damage",
    [
        {PROJECT: None},
        {"backbone.conv1.0.weight": (7, 3, 3, 3)},
        {"backbone.stage3.0.branch1.0.weight": None},
        {"backbone.stage4.0.branch2.0.weight": (1, 2, 3, 4)},
        {"head.gfl_cls.0.weight": None, "head.gfl_cls.1.bias": (9,)},
        {"fpn.reduce_layers.0.conv.weight": (1,), "fpn.downsamples.0.depthwise.weight": None},
        {"head.cls_convs.0.0.depthwise.weight": ()},
        {"some.other.key": (1,), "aux_head.gfl_cls.weight": (112, 192, 1, 1)},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_few_damaged_keys_do_not_change_the_variant(damage):
    shapes = {key: shape for key, shape in {**shapes_of(DEFAULT_VARIANT), **damage}.items() if shape is not None}
    assert infer_variant(shapes) == DEFAULT_VARIANT


@pytest.mark.parametrize(
    ("shapes", "looked_for"),
    [
        ({}, "backbone.stage2.0.branch1.*; the keys are none at all"),
        ({"backbone.stage2.0.branch1.0.weight": (24, 1, 3, 3)}, "fpn.reduce_layers.*"),
        (
            {
                "backbone.stage2.0.branch1.0.weight": (24, 1, 3, 3),
                "fpn.reduce_layers.0.conv.weight": (96, 116, 1, 1),
                "head.gfl_cls.0.weight": (32, 96, 1, 1),
            },
            "head.gfl_cls.0.weight with over 32 rows, found 32",
        ),
    ],
)
def test_foreign_keys_are_refused_with_what_was_looked_for(shapes, looked_for):
    with pytest.raises(WeightsError) as caught:
        infer_variant(shapes)
    assert looked_for in caught.value.message
    assert caught.value.hint


def test_names_for_people():
    assert [variant.title for variant in VARIANTS] == [
        "NanoDet-Plus-m, 3 classes",
        "NanoDet-Plus-m, 80 classes",
        "NanoDet-Plus-m 1.5x, 1 class",
        "NanoDet-Plus-m 0.5x, 3 classes",
        "NanoDet-Plus-m 32-64-100, 3 classes",
    ]


def test_to_dict_survives_json():
    fields = json.loads(json.dumps(DEFAULT_VARIANT.to_dict()))
    assert Variant(**{key: tuple(x) if isinstance(x, list) else x for key, x in fields.items()}) == DEFAULT_VARIANT


def test_import_needs_no_torch():
    code = "import sys, cvport.models.nanodet.variant; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
