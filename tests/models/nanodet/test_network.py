"""The NanoDet-Plus-m network against what the original implementation computes with the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from cvport.errors import WeightsError
from cvport.models.nanodet.network import NanoDetPlus, interleave
from cvport.models.nanodet.spec import SPEC
from cvport.models.nanodet.variant import DEFAULT_VARIANT, SIZES
from cvport.models.ops.fusion import fuse
from cvport.models.weights.loading import load_strict

STRIDES = (8, 16, 32, 64)
# Structurally complete and quick.
SMALL = replace(DEFAULT_VARIANT, stem=8, stages=(16, 32, 64), repeats=(2, 3, 2), neck=16)


def run(network, x):
    with torch.inference_mode():
        return network(torch.as_tensor(x))


def upstreams_layout(outputs):
    """All levels in one (N, points, classes + bins) array."""
    levels = [torch.cat([outputs[f"cls_score_{i}"], outputs[f"bbox_pred_{i}"]], 1).flatten(2) for i in range(4)]
    return torch.cat(levels, dim=2).transpose(1, 2).numpy()


@pytest.fixture(scope="module")
def network(golden_nanodet):
    return SPEC.build_network(golden_nanodet.state)


def test_keys_and_shapes_and_parameters_are_upstreams(golden_nanodet, network):
    entries = {entry["key"]: tuple(entry["shape"]) for entry in golden_nanodet.manifest["entries"]}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == entries
    report = load_strict(network, golden_nanodet.state)
    assert str(report) == "645/645 tensors, 1,168,048 parameters"


@pytest.mark.parametrize("fused", [False, True])
def test_outputs_are_upstreams(golden_nanodet, network, fused):
    outputs = run(fuse(network) if fused else network, golden_nanodet.input)
    assert tuple(outputs) == SPEC.output_names
    expected = golden_nanodet.outputs["output"]
    difference = np.abs(upstreams_layout(outputs) - expected).max()
    assert difference < 1e-4 * np.abs(expected).max()


def test_fusing_leaves_no_normalisation_and_keeps_the_original(network):
    fused = fuse(network)
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len([module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]) == 106
    assert not any(parameter.requires_grad for parameter in fused.parameters())


def test_built_network_is_for_inference():
    network = SPEC.build_network(SPEC.seeded(0, SMALL))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-5}
    assert {module.negative_slope for module in network.modules() if isinstance(module, nn.LeakyReLU)} == {0.1}


@pytest.mark.parametrize("size", [(64, 128), (96, 160)])
def test_sizes_of_the_outputs_follow_the_input(size):
    outputs = run(SPEC.build_network(SPEC.seeded(0, SMALL)), torch.zeros(2, 3, *size))
    grids = [tuple(-(-side // stride) for side in size) for stride in STRIDES]
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        f"{kind}_{level}": (2, channels, *grid)
        for level, grid in enumerate(grids)
        for kind, channels in (("cls_score", 3), ("bbox_pred", 32))
    }


def test_interleaving_is_the_channel_shuffle_of_two_groups():
    x = torch.randn(3, 8, 2, 5)
    assert torch.equal(interleave(*x.chunk(2, dim=1)), nn.functional.channel_shuffle(x, 2))


@pytest.mark.parametrize("variant", [SMALL, replace(SMALL, num_classes=1, reg_max=5, neck_blocks=2)], ids=str)
def test_export_keeps_the_batch_dynamic_and_each_picture_to_itself(variant):
    network = fuse(SPEC.build_network(SPEC.seeded(0, variant)))
    x = torch.randn(5, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(network, (x[:2],), dynamic_shapes=({0: torch.export.Dim("batch", max=64)},))
    exported = run(program.module(), x)
    for i in range(len(x)):
        alone = run(network, x[i : i + 1])
        for name, value in exported.items():
            assert (value[i] - alone[name][0]).abs().max() < 1e-4, name


def test_trained_weights_load_strictly(real):
    state = load_file(real / "nanodet_plus_coco.safetensors")
    network = SPEC.build_network(state)
    assert network.variant == replace(DEFAULT_VARIANT, num_classes=80)
    assert str(load_strict(network, state)) == "645/645 tensors, 1,197,924 parameters"


@pytest.mark.parametrize("size", SIZES)
def test_every_width_has_the_same_keys(size):
    with torch.device("meta"):
        network = NanoDetPlus(replace(DEFAULT_VARIANT, stages=SIZES[size], neck=128))
    assert len(network.state_dict()) == 645


def test_a_missing_and_a_foreign_key_are_listed():
    state = SPEC.seeded(0, SMALL)
    del state["fpn.downsamples.1.pwnorm.weight"]
    state["head.gfl_reg.0.weight"] = np.zeros((4, 16, 1, 1), np.float32)
    with pytest.raises(WeightsError) as caught:
        SPEC.build_network(state)
    assert "1 missing, 1 unexpected" in caught.value.message
    assert "fpn.downsamples.1.pwnorm.weight" in caught.value.message
    assert "head.gfl_reg.0.weight" in caught.value.message


def test_given_variant_is_built():
    with pytest.raises(WeightsError, match=r"head\.gfl_cls\.0\.weight has \(35, 16, 1, 1\), needs \(36, 16, 1, 1\)"):
        SPEC.build_network(SPEC.seeded(0, SMALL), replace(SMALL, num_classes=4))
