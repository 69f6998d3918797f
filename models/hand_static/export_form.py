"""PReLU in operators that ONNX Runtime keeps in its blocked layout.

Its CPU kernels for convolutions want channels in blocks of 8 or 16 (NCHWc). PRelu has no kernel in that layout: it and
the reordering of its tensor, there and back, together take longer than all convolutions of the network. With a slope a
for each channel,

    PReLU(y) = max(y, 0) + a * min(y, 0) = a * y + (1 - a) * max(y, 0)

and where a <= 1, (1 - a) * max(y, 0) = max((1 - a) * y, 0). Multiplying channels is a depthwise 1x1 convolution, and
ONNX Runtime fuses a Relu after a convolution and an addition to one into it: two passes over the tensor, no reordering.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..ops.fusion import make_conv
from .blocks import ConvBlock


class ConvPReLU(nn.Module):
    """PReLU by two depthwise 1x1 convolutions, equal up to rounding for slopes of any size and sign."""

    def __init__(self, slopes: Tensor) -> None:
        """Take (C,) slopes."""
        super().__init__()
        self.scale = _channel_scaling(slopes)
        self.rest = _channel_scaling(1 - slopes)
        self.fusible = bool((slopes <= 1).all())

    def forward(self, y: Tensor) -> Tensor:
        """Compute (N,C,H,W) to the same shape."""
        positive = torch.relu(self.rest(y)) if self.fusible else self.rest(torch.relu(y))
        scaled: Tensor = self.scale(y)
        return scaled + positive


def export_form(network: nn.Module) -> nn.Module:
    """Return a copy of a fused network with every PReLU in this form; the network stays as it is."""
    form = copy.deepcopy(network)
    for block in form.modules():
        if isinstance(block, ConvBlock) and isinstance(block.prelu, nn.PReLU):
            block.prelu = ConvPReLU(block.prelu.weight.detach())
    return form


def _channel_scaling(factors: Tensor) -> nn.Conv2d:
    """Return the convolution that multiplies each channel by its (C,) factor."""
    return make_conv(factors.reshape(-1, 1, 1, 1), torch.zeros_like(factors), groups=len(factors))
