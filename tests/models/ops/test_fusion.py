"""Fusing changes how a network computes, not what."""

import numpy as np
import pytest
import torch
from torch import nn

from cvport.models.ops.fusion import fold_batch_norm, fuse, fuse_conv
from cvport.models.yolox.blocks import (
    ConvBlock,
    CSPLayer,
    DepthwiseBlock,
    Focus,
    GSConv,
    RepVGGBlock,
    SPPBottleneck,
    VoVGSCSP,
)


def randomise(module, seed=0):
    """Weights and statistics of no special value, so that nothing cancels."""
    generator = torch.Generator().manual_seed(seed)
    for key, value in module.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.3, 2, generator=generator)
        elif value.is_floating_point():
            value.normal_(generator=generator).div_(max(1, value[0].numel() ** 0.5 if value.dim() > 1 else 2))
    return module.eval()


BLOCKS = {
    "conv": lambda: ConvBlock(8, 6, 3, 2),
    "conv with bias": lambda: ConvBlock(8, 6, 3, bias=True, activation="relu"),
    "depthwise": lambda: DepthwiseBlock(8, 6, 2, activation="silu"),
    "repvgg": lambda: RepVGGBlock(8, 8, form="train"),
    "repvgg strided": lambda: RepVGGBlock(8, 8, 2, form="train"),
    "repvgg wider": lambda: RepVGGBlock(8, 12, form="train"),
    "repvgg deployed": lambda: RepVGGBlock(8, 8, form="deploy"),
    "gsconv": lambda: GSConv(8, 12, 3, 2),
    "vov": lambda: VoVGSCSP(8, 16, 2),
    "csp": lambda: CSPLayer(8, 8, 2, shortcut=True, depthwise=True, activation="silu"),
    "spp": lambda: SPPBottleneck(8, activation="silu"),
    "focus": lambda: Focus(8, activation="silu"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_fused_block_computes_the_same_without_batch_norm(name):
    block = randomise(BLOCKS[name]())
    before = {key: value.clone() for key, value in block.state_dict().items()}
    x = torch.randn(2, 3 if name == "focus" else 8, 16, 12, generator=torch.Generator().manual_seed(1))
    fused = fuse(block)
    with torch.no_grad():
        expected = block(x)
        torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fuse(fused)(x), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.05
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    after = block.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_repvgg_becomes_one_convolution():
    fused = fuse(randomise(RepVGGBlock(8, 8, form="train")))
    assert {key: tuple(value.shape) for key, value in fused.state_dict().items()} == {
        "rbr_reparam.weight": (8, 8, 3, 3),
        "rbr_reparam.bias": (8,),
    }


def test_focus_becomes_one_strided_convolution_of_the_image():
    conv = fuse(randomise(Focus(8, activation="silu"))).conv.conv
    assert (tuple(conv.weight.shape), conv.stride, conv.padding) == ((8, 3, 6, 6), (2, 2), (2, 2))


def test_fuse_is_for_inference():
    network = ConvBlock(4, 4, 1).train()
    assert not fuse(network).training
    assert network.training


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_folding_is_exact_to_the_last_bits(affine, bias):
    conv = randomise(nn.Conv2d(4, 6, 3, bias=bias))
    bn = randomise(nn.BatchNorm2d(6, eps=1e-3, affine=affine), seed=1)
    weight, shift = fold_batch_norm(conv.weight, conv.bias, bn)
    assert weight.dtype == shift.dtype == torch.float32
    scale = 1 / np.sqrt(bn.running_var.numpy().astype(np.float64) + 1e-3)
    scale = scale * bn.weight.detach().numpy() if affine else scale
    offset = (0 if conv.bias is None else conv.bias.detach().numpy().astype(np.float64)) - bn.running_mean.numpy()
    expected = offset * scale + (bn.bias.detach().numpy() if affine else 0)
    np.testing.assert_allclose(shift, expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(
        weight, conv.weight.detach().numpy().astype(np.float64) * scale.reshape(-1, 1, 1, 1), rtol=1e-7
    )


def test_folding_keeps_float64():
    conv = randomise(nn.Conv2d(4, 6, 1)).double()
    weight, bias = fold_batch_norm(conv.weight, conv.bias, randomise(nn.BatchNorm2d(6)))
    assert weight.dtype == bias.dtype == torch.float64


def test_folding_works_for_linear_layers():
    layers = randomise(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)))
    weight, bias = fold_batch_norm(layers[0].weight, layers[0].bias, layers[1])
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(x @ weight.T + bias, layers(x).detach(), rtol=1e-5, atol=1e-6)


def test_statistics_of_the_batch_cannot_be_folded():
    with pytest.raises(ValueError, match="running statistics"):
        fold_batch_norm(torch.zeros(6, 4, 1, 1), None, nn.BatchNorm2d(6, track_running_stats=False))


def test_padding_that_would_be_lost_is_refused():
    with pytest.raises(ValueError, match="zero padding"):
        fuse_conv(nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(6))
