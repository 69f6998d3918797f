"""The structure of a network, read from keys, shapes and configuration of its checkpoint."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from cvport.errors import WeightsError
from cvport.models.emotion.network import ViTClassifier
from cvport.models.emotion.variant import DEFAULT_VARIANT, Variant, infer_variant

SMALL = Variant(hidden=128, layers=3, heads=2, intermediate=200, patch=8, image_size=(40, 40), num_classes=5)
VARIANTS = [
    DEFAULT_VARIANT,
    SMALL,
    replace(SMALL, qkv_bias=False, num_classes=1),
    replace(SMALL, layers=11, patch=14, image_size=(28, 28)),
]


def shapes_of(variant):
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in ViTClassifier(variant).state_dict().items()}


def config_of(variant):
    """As transformers writes it."""
    return {
        "model_type": "vit",
        "hidden_size": variant.hidden,
        "num_hidden_layers": variant.layers,
        "num_attention_heads": variant.heads,
        "intermediate_size": variant.intermediate,
        "hidden_act": variant.activation,
        "layer_norm_eps": variant.layer_norm_eps,
        "image_size": variant.image_size[0],
        "patch_size": variant.patch,
        "num_channels": 3,
        "qkv_bias": variant.qkv_bias,
        "problem_type": "single_label_classification",
    }


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.title)
def test_a_variant_is_read_back_from_its_own_network(variant, published):
    assert infer_variant(shapes_of(variant)) == variant
    assert infer_variant(published(shapes_of(variant))) == variant
    assert infer_variant(shapes_of(variant), config_of(variant)) == variant


def test_the_configuration_tells_what_no_tensor_does():
    told = replace(SMALL, heads=4, activation="quick_gelu", layer_norm_eps=1e-6, image_size=(40, 80))
    assert infer_variant(shapes_of(told), {**config_of(told), "image_size": [40, 80]}) == told


def test_images_larger_than_any_network_takes():
    shapes = shapes_of(replace(SMALL, image_size=(9000, 9000)))
    with pytest.raises(WeightsError, match="images of 9000x9000 pixels, sides have at most 8192"):
        infer_variant(shapes)


def test_sizes_may_be_pairs_and_entries_may_be_absent_or_null():
    assert infer_variant(shapes_of(SMALL), {"patch_size": [8, 8], "image_size": [40, 40]}) == SMALL
    assert infer_variant(shapes_of(SMALL), {"problem_type": None, "num_attention_heads": None}) == SMALL


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden_size": 64},
        {"num_hidden_layers": 12},
        {"intermediate_size": 3072},
        {"patch_size": 16},
        {"patch_size": [8, 4]},
        {"image_size": 224},
        {"image_size": "40"},
        {"num_channels": 1},
        {"qkv_bias": False},
        {"model_type": "swin"},
        {"problem_type": "multi_label_classification"},
        {"hidden_act": "sine"},
        {"num_attention_heads": 3},
        {"num_attention_heads": "2"},
        {"num_attention_heads": 0},
        {"layer_norm_eps": "small"},
        {"layer_norm_eps": -1e-6},
    ],
    ids=str,
)
def test_a_configuration_that_contradicts_is_refused(wrong):
    with pytest.raises(WeightsError) as caught:
        infer_variant(shapes_of(SMALL), {**config_of(SMALL), **wrong})
    assert "config.json" in caught.value.hint
    (value,) = wrong.values()
    assert str(value) in caught.value.message


def test_heads_that_nobody_tells_are_not_made_up():
    odd = replace(SMALL, hidden=96, heads=1)
    with pytest.raises(WeightsError, match="96 channels cannot be divided"):
        infer_variant(shapes_of(odd))
    assert infer_variant(shapes_of(odd), {"num_attention_heads": 1}) == odd


def test_an_input_that_is_not_square_needs_the_configuration():
    wide = replace(SMALL, image_size=(40, 80))
    with pytest.raises(WeightsError, match="50 position embeddings do not cover an image of 56 pixels in patches of 8"):
        infer_variant(shapes_of(wide))


@pytest.mark.parametrize(
    "damage",
    [
        {"vit.layers.1.mlp.fc1.weight": (7, 128)},
        {"vit.layers.0.layernorm_before.weight": None},
        {"classifier.weight": None},
        {"vit.layers.2.attention.q_proj.bias": None},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_damage_to_some_tensors_leaves_the_structure_readable(damage):
    shapes = {key: shape for key, shape in (shapes_of(SMALL) | damage).items() if shape}
    assert infer_variant(shapes) == SMALL


@pytest.mark.parametrize("part", ["vit.embeddings.", "vit.layers.", "classifier."])
def test_other_networks_are_refused(part):
    shapes = {key: shape for key, shape in shapes_of(SMALL).items() if not key.startswith(part)}
    with pytest.raises(WeightsError, match=rf"not those of a ViT classifier: looked for {part}"):
        infer_variant(shapes)


def test_for_people_and_for_json():
    assert DEFAULT_VARIANT.title == "ViT-base patch16 224, 7 classes"
    assert replace(SMALL, image_size=(40, 80), num_classes=1).title == "ViT-128x3 patch8 40x80, 1 class"
    assert DEFAULT_VARIANT.tokens == 197
    assert json.loads(json.dumps(SMALL.to_dict()))["image_size"] == [40, 40]


def test_neither_torch_nor_transformers_is_imported():
    code = """
import sys
import cvport.models.emotion.plan, cvport.models.emotion.keys, cvport.models.emotion.spec
print(sorted({"torch", "transformers", "onnx"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
