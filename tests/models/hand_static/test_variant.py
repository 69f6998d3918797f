"""The structure of a network, read from the keys and shapes of its checkpoint."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from cvport.errors import WeightsError
from cvport.models.hand_static.network import HandStatic
from cvport.models.hand_static.variant import DEFAULT_VARIANT, Variant, infer_variant

VARIANTS = [
    DEFAULT_VARIANT,
    replace(DEFAULT_VARIANT, num_classes=1, embedding_size=128, hidden=32),
    replace(DEFAULT_VARIANT, stem=16, widths=(24, 40, 56), halving=(32, 48, 64), expanded=(72, 80, 96)),
    replace(DEFAULT_VARIANT, repeats=(2, 12, 1), features=320, grid=5, num_classes=4),
]


def shapes_of(variant):
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in HandStatic(variant).state_dict().items()}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.title)
def test_a_variant_is_read_back_from_its_own_network(variant):
    assert infer_variant(shapes_of(variant)) == variant


@pytest.mark.parametrize(
    "damage",
    [
        {"feature_extractor.conv1.conv.weight": (7, 3, 3, 3)},
        {"feature_extractor.conv_23.project.conv.weight": None},
        {"feature_extractor.conv_34.conv.prelu.weight": (3,), "feature_extractor.conv_34.conv.conv.weight": ()},
        {"feature_extractor.conv_4.model.5.conv.conv.weight": None, "feature_extractor.conv_5.model.0.conv_dw": (9,)},
        {"feature_extractor.linear.weight": None, "fc_layer.0.weight": (1,), "fc_layer.0.bias": None},
        {"fc_layer.2.weight": None},
        {"some.other.key": (1,)},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_few_damaged_keys_do_not_change_the_variant(damage):
    shapes = {key: shape for key, shape in {**shapes_of(DEFAULT_VARIANT), **damage}.items() if shape is not None}
    expected = replace(DEFAULT_VARIANT, hidden=1) if "fc_layer.0.bias" in damage else DEFAULT_VARIANT
    assert infer_variant(shapes) == expected


@pytest.mark.parametrize(
    ("missing", "looked_for"),
    [
        ("feature_extractor.", "feature_extractor.conv_23.*"),
        ("feature_extractor.conv_6_dw.", "feature_extractor.conv_6_dw.*"),
        ("fc_layer.", "fc_layer.2.*"),
        ("", "feature_extractor.conv_23.*; the keys are none at all"),
    ],
)
def test_foreign_keys_are_refused_with_what_was_looked_for(missing, looked_for):
    shapes = {key: shape for key, shape in shapes_of(DEFAULT_VARIANT).items() if not key.startswith(missing)}
    with pytest.raises(WeightsError) as caught:
        infer_variant(shapes)
    assert looked_for in caught.value.message
    assert caught.value.hint


def test_names_for_people():
    assert [variant.title for variant in VARIANTS] == [
        "MobileFaceNet 512, 15 classes",
        "MobileFaceNet 128, 1 class",
        "MobileFaceNet 512, 15 classes",
        "MobileFaceNet 512, 4 classes",
    ]


def test_the_kernel_over_the_last_grid_fixes_the_input_size():
    assert [variant.input_size for variant in VARIANTS] == [(112, 112), (112, 112), (112, 112), (80, 80)]


def test_to_dict_survives_json():
    fields = json.loads(json.dumps(DEFAULT_VARIANT.to_dict()))
    assert Variant(**{key: tuple(x) if isinstance(x, list) else x for key, x in fields.items()}) == DEFAULT_VARIANT


def test_import_needs_no_torch():
    code = "import sys, cvport.models.hand_static.variant; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
