"""Folding of what inference does not need: BatchNorm into the convolution before it, branches into one."""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


@runtime_checkable
class Fusible(Protocol):
    """A block that can fold itself: its own layers only, in place, and to no effect the second time."""

    def fuse(self) -> None:
        """Replace layers by fewer that compute the same."""


def fuse(network: nn.Module) -> nn.Module:
    """Return a copy of *network* for inference in which every block that can fold itself has done so.

    Args:
        network: Any network with its final weights; it stays as it is.

    Returns:
        A copy in eval mode without gradients that computes the same up to float32 rounding. Tensors that no block
        folds are the network's own, as another parameter of the same values: a copy of large weights is saved.

    """
    shared: dict[int, Tensor] = {id(entry): entry.detach() for entry in network.buffers()}
    shared |= {id(entry): nn.Parameter(entry.detach(), requires_grad=False) for entry in network.parameters()}
    fused = copy.deepcopy(network, shared).eval()
    for module in list(fused.modules()):
        if isinstance(module, Fusible):
            module.fuse()
    return fused


def fold_batch_norm(weight: Tensor, bias: Tensor | None, bn: BatchNorm) -> tuple[Tensor, Tensor]:
    """Fold *bn* into the convolution or linear layer before it.

    The arithmetic is float64, so the only error is the rounding of the result to the dtype of *weight*.

    Args:
        weight: (out, ...), the layer's weight.
        bias: (out,), or None if the layer has none.
        bn: Its normalisation, with running statistics.

    Returns:
        Weight and bias of the one layer that computes both.

    """
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError("a BatchNorm without running statistics depends on the batch and cannot be folded")
    scale = (bn.running_var.double() + bn.eps).rsqrt()
    if bn.affine:
        scale = scale * bn.weight.double()
    shift = -bn.running_mean.double() * scale
    if bn.affine:
        shift = shift + bn.bias.double()
    if bias is not None:
        shift = shift + bias.double() * scale
    folded = weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))
    return folded.to(weight.dtype).detach(), shift.to(weight.dtype).detach()


def fuse_conv(conv: nn.Conv2d, bn: BatchNorm) -> nn.Conv2d:
    """Return one convolution with bias that computes *conv* and then *bn*."""
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        raise ValueError("only numeric zero padding is folded")
    weight, bias = fold_batch_norm(conv.weight, conv.bias, bn)
    return make_conv(weight, bias, stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups)


def make_conv(
    weight: Tensor,
    bias: Tensor,
    *,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    dilation: tuple[int, ...] = (1, 1),
    groups: int = 1,
) -> nn.Conv2d:
    """Return a convolution in eval mode with these weights, (out,in/groups,h,w) and (out,), used as they are."""
    out_channels, in_channels, height, width = weight.shape
    sizes = (in_channels * groups, out_channels, (height, width))
    # On the meta device the weights that are about to be replaced cost nothing.
    with torch.device("meta"):
        conv = nn.Conv2d(*sizes, _pair(stride), _pair(padding), _pair(dilation), groups)
    conv.weight = nn.Parameter(weight.detach(), requires_grad=False)
    conv.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return conv.eval()


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    height, width = values
    return height, width
