"""The YOLOX network against what the original implementations compute with the same weights."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from cvport.errors import WeightsError
from cvport.models.ops.fusion import fuse
from cvport.models.weights.loading import load_strict
from cvport.models.yolox.blocks import RepVGGBlock
from cvport.models.yolox.spec import SPEC
from cvport.models.yolox.variant import DEFAULT_VARIANT
from helpers.yolox import megvii_variant

CONFIGS = (
    "easycv_s_csp",
    "megvii_nano",
    "megvii_s",
    "megvii_tiny",
    "megvii_tiny_c1",
    "pai_s",
    "pai_s_asff",
    "pai_s_asff_tood",
    "pai_s_asff_tood_repconv",
    "pai_s_asffsim",
    "pai_s_gsconv",
    "pai_s_gsconvpart_tood_dwconv",
)
OUTPUTS = [f"{kind}_{scale}" for scale in range(3) for kind in ("cls", "reg", "obj")]
# Of each output's standard deviation. Rounding gives up to 4e-4, the smallest mistake that is easily made 7e-3.
LIMIT = 1e-3
# Structurally complete and quick: every kind of block that the default variant has.
SMALL = replace(DEFAULT_VARIANT, width=0.25, blocks=(2, 2, 2, 2))


@pytest.fixture(scope="module", params=CONFIGS)
def golden(request, golden_yolox):
    return golden_yolox(request.param, 0)


@pytest.fixture(scope="module")
def network(golden):
    return SPEC.build_network(golden.state)


def run(network, x):
    with torch.no_grad():
        return network(torch.as_tensor(x))


def shapes_of(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def assert_equals_upstream(outputs, golden):
    assert list(outputs) == OUTPUTS
    for name, tensor in outputs.items():
        value = tensor.numpy()
        if f"raw_{name}" in golden.outputs:
            expected = golden.outputs[f"raw_{name}"]
            assert value.shape == expected.shape
        else:
            # All 80 classes would be large: upstream's are kept at some flat positions.
            value = value.reshape(-1)[golden.outputs[f"raw_{name}_pos"]]
            expected = golden.outputs[f"raw_{name}_sample"]
        difference = np.abs(value - expected).max() / expected.std()
        assert difference < LIMIT, f"{name}: {difference:.1e} of the standard deviation"


def test_keys_and_shapes_and_parameters_are_upstreams(golden, network):
    assert shapes_of(network) == {entry["key"]: tuple(entry["shape"]) for entry in golden.manifest["entries"]}
    assert sum(parameter.numel() for parameter in network.parameters()) == golden.manifest["param_count"]


def test_outputs_are_upstreams(golden, network):
    assert_equals_upstream(run(network, golden.input), golden)


def test_fused_outputs_are_upstreams_and_no_normalisation_is_left(golden, network):
    fused = fuse(network)
    assert_equals_upstream(run(fused, golden.input), golden)
    assert not [name for name, module in fused.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(parameter.requires_grad for parameter in fused.parameters())


def test_deploy_form_has_upstreams_keys_and_loads(golden, network, shared):
    path = shared / "goldens/yolox" / golden.manifest["name"] / "manifest_deploy.json"
    if not path.is_file():
        assert network.variant.backbone == "CSPDarknet"
        return
    merged = copy.deepcopy(network)
    for block in [module for module in merged.modules() if isinstance(module, RepVGGBlock)]:
        block.fuse()
    manifest = json.loads(path.read_text())
    assert shapes_of(merged) == {entry["key"]: tuple(entry["shape"]) for entry in manifest["entries"]}
    assert sum(parameter.numel() for parameter in merged.parameters()) == manifest["param_count"]
    deployed = SPEC.build_network(merged.state_dict())
    assert deployed.variant == replace(network.variant, form="deploy")
    x = golden.input[:1, :, :96, :64]
    for (name, value), expected in zip(run(deployed, x).items(), run(network, x).values(), strict=True):
        assert (value - expected).abs().max() < LIMIT * expected.std(), name


@pytest.mark.parametrize(
    ("name", "classes"), [("yolox_nano_coco", 80), ("yolox_nano_hand", 1), ("yolox_nano_hand_relu", 1)]
)
def test_trained_weights_load_strictly(shared, name, classes):
    state = load_file(shared / f"real/{name}.safetensors")
    network = SPEC.build_network(state)
    assert network.variant == megvii_variant("nano", classes)
    assert str(load_strict(network, state)).startswith("642/642 tensors, ")
    np.testing.assert_array_equal(network.state_dict()["head.stems.0.conv.weight"], state["head.stems.0.conv.weight"])


def test_activation_changes_the_outputs_and_not_the_keys(shared):
    state = load_file(shared / "real/yolox_nano_hand_relu.safetensors")
    x = torch.linspace(-2, 2, 3 * 64 * 64).reshape(1, 3, 64, 64)
    silu = SPEC.build_network(state)
    relu = SPEC.build_network(state, replace(silu.variant, activation="relu"))
    assert relu.variant.activation == "relu"
    assert shapes_of(silu) == shapes_of(relu)
    assert (run(silu, x)["cls_0"] - run(relu, x)["cls_0"]).abs().max() > 0.1
    assert not [module for module in relu.modules() if isinstance(module, nn.SiLU)]


def test_built_network_is_for_inference_and_unfused():
    network = SPEC.build_network(SPEC.seeded(0, SMALL))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {module.eps: module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {
        1e-3: 0.03
    }


def test_given_variant_is_built_and_what_it_lacks_is_listed():
    state = SPEC.seeded(0, megvii_variant("nano", 1))
    with pytest.raises(WeightsError, match=r"head\.cls_preds\.0\.weight has \(1, 64, 1, 1\), needs \(2, 64, 1, 1\)"):
        SPEC.build_network(state, megvii_variant("nano", 2))


def test_impossible_structure_is_an_error_of_the_weights():
    state = SPEC.seeded(0, SMALL)
    ten_wide = {
        key: np.zeros((10, 10, 1, 1), np.float32) if "head.stems" in key else value for key, value in state.items()
    }
    ten_wide |= {key: np.zeros((1, 10, 1, 1), np.float32) for key in state if "_preds" in key}
    with pytest.raises(WeightsError, match="no network can be built"):
        SPEC.build_network(ten_wide)


def test_incomplete_checkpoint_is_refused_by_the_key_that_is_missing():
    state = SPEC.seeded(0, SMALL)
    del state["head.stems.0.conv.weight"]
    with pytest.raises(WeightsError, match=r"1 missing\n  missing: head\.stems\.0\.conv\.weight"):
        SPEC.build_network(state)


def test_sizes_of_the_outputs_follow_a_rectangular_input():
    outputs = run(SPEC.build_network(SPEC.seeded(0, SMALL)), torch.zeros(2, 3, 96, 160))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        f"{kind}_{scale}": (2, channels, 96 // stride, 160 // stride)
        for scale, stride in enumerate((8, 16, 32))
        for kind, channels in (("cls", 1), ("reg", 4), ("obj", 1))
    }


@pytest.mark.parametrize(
    "variant",
    [
        SMALL,
        replace(SMALL, conv_type="repconv", attention="ASFF_sim"),
        replace(SMALL, neck="gsconv", conv_type="dwconv"),
        replace(megvii_variant("nano", 2), blocks=(1, 1, 1, 1)),
    ],
    ids=lambda variant: variant.title,
)
def test_export_keeps_the_batch_dynamic_and_each_picture_to_itself(variant):
    network = fuse(SPEC.build_network(SPEC.seeded(0, variant)))
    x = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(network, (x[:2],), dynamic_shapes=({0: torch.export.Dim("batch", max=64)},))
    exported = program.module()(x)
    assert list(exported) == OUTPUTS
    for name, value in exported.items():
        alone = run(network, x[2:])[name]
        assert (value[2:] - alone).abs().max() < LIMIT * alone.std(), name
