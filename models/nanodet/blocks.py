"""Building blocks of NanoDet-Plus-m.

Attribute names are those of the published checkpoints, because they are the checkpoints' keys; sources are files of
RangiLyu/nanodet under nanodet/model. All tensors are float32 NCHW; a block keeps height and width unless it has a
stride. Blocks fold their BatchNorms when they are asked to fuse.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..ops.fusion import fuse_conv

# module/activation.py: LeakyReLU everywhere.
_SLOPE = 0.1


def activation() -> nn.LeakyReLU:
    """Return the family's activation."""
    return nn.LeakyReLU(_SLOPE, inplace=True)


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the size divided by its stride."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)


class Layers(nn.Sequential):
    """Convolutions, each followed by its BatchNorm, and activations; numbered by position as in the checkpoints."""

    def fuse(self) -> None:
        """Fold each BatchNorm into the convolution before it."""
        layers = list(self.named_children())
        for (name, layer), (norm_name, norm) in pairwise(layers):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                self.add_module(name, fuse_conv(layer, norm))
                self.add_module(norm_name, nn.Identity())


class ConvBlock(nn.Module):
    """1x1 convolution, BatchNorm, activation (module/conv.py, ConvModule)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, 1)
        self.bn: nn.Module = nn.BatchNorm2d(out_channels)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y

    def fuse(self) -> None:
        """Fold the BatchNorm."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv(self.conv, self.bn), nn.Identity()


class SeparableBlock(nn.Module):
    """Convolution within each channel, then across them, each with BatchNorm and activation.

    module/conv.py, DepthwiseConvModule.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = conv(channels, channels, kernel, stride, groups=channels)
        self.pointwise = conv(channels, channels, 1)
        self.dwnorm: nn.Module = nn.BatchNorm2d(channels)
        self.pwnorm: nn.Module = nn.BatchNorm2d(channels)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,C,H,W) to (N,C,H/stride,W/stride)."""
        within = self.act(self.dwnorm(self.depthwise(x)))
        y: Tensor = self.act(self.pwnorm(self.pointwise(within)))
        return y

    def fuse(self) -> None:
        """Fold both BatchNorms."""
        if isinstance(self.dwnorm, nn.BatchNorm2d) and isinstance(self.pwnorm, nn.BatchNorm2d):
            self.depthwise, self.dwnorm = fuse_conv(self.depthwise, self.dwnorm), nn.Identity()
            self.pointwise, self.pwnorm = fuse_conv(self.pointwise, self.pwnorm), nn.Identity()


class GhostModule(nn.Module):
    """Half of the channels from a 1x1 convolution, half from a 3x3 one within each of those (arXiv 1911.11907).

    backbone/ghostnet.py, GhostModule; the family's channels are even.
    """

    def __init__(self, in_channels: int, out_channels: int, *, activate: bool) -> None:
        super().__init__()
        half = out_channels // 2
        tail = [activation()] if activate else []
        self.primary_conv = Layers(conv(in_channels, half, 1), nn.BatchNorm2d(half), *tail)
        self.cheap_operation = Layers(conv(half, half, 3, groups=half), nn.BatchNorm2d(half), *tail)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        dense = self.primary_conv(x)
        return torch.cat([dense, self.cheap_operation(dense)], dim=1)


class GhostBottleneck(nn.Module):
    """Two ghost modules, the second without activation, and a shortcut of a convolution within and across channels.

    backbone/ghostnet.py, GhostBottleneck at stride 1 without squeeze-and-excitation.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.ghost1 = GhostModule(in_channels, out_channels, activate=True)
        self.ghost2 = GhostModule(out_channels, out_channels, activate=False)
        self.shortcut = Layers()
        if in_channels != out_channels:
            self.shortcut = Layers(
                conv(in_channels, in_channels, kernel, groups=in_channels),
                nn.BatchNorm2d(in_channels),
                conv(in_channels, out_channels, 1),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        y: Tensor = self.ghost2(self.ghost1(x)) + self.shortcut(x)
        return y


class GhostBlocks(nn.Module):
    """Ghost bottlenecks in a row (fpn/ghost_pan.py, GhostBlocks without its residual)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, repeats: int) -> None:
        super().__init__()
        widths = [in_channels, *[out_channels] * (repeats - 1)]
        self.blocks = nn.Sequential(*(GhostBottleneck(width, out_channels, kernel) for width in widths))

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        y: Tensor = self.blocks(x)
        return y
