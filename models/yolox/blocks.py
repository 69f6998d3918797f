"""Building blocks of the YOLOX family.

Attribute names are those of the published checkpoints (Megvii models/network_blocks.py, EasyCV
models/backbones/network_blocks.py and repvgg_yolox_backbone.py), because they are the checkpoints' keys.
All tensors are float32 NCHW; a block keeps height and width unless it has a stride.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..ops.fusion import fold_batch_norm, fuse_conv, make_conv
from .variant import Activation, ConvType, Form

# Every BatchNorm of the family: Megvii exps/default/yolox_nano.py, EasyCV init_yolo in detectors/yolox/yolox.py.
BN_EPS = 1e-3
BN_MOMENTUM = 0.03


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Return a BatchNorm with YOLOX's constants."""
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


def space_to_channels(x: Tensor) -> Tensor:
    """Move each 2x2 square into channels, (N,C,H,W) to (N,4C,H/2,W/2).

    The order is top left, bottom left, top right, bottom right (Megvii models/network_blocks.py, Focus).
    """
    return torch.cat([x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=1)


def pool_pyramid(x: Tensor) -> Tensor:
    """Stack *x* and its maxima over 5x5, 9x9 and 13x13 windows, (N,C,H,W) to (N,4C,H,W).

    A 9x9 maximum is the 5x5 maximum of 5x5 maxima, and so on: the same values for a fraction of the work,
    which is why the pyramids of Megvii (three pools) and of YOLOX-PAI (one, three times) are one function here.
    """
    levels = [x]
    for _ in range(3):
        levels.append(functional.max_pool2d(levels[-1], kernel_size=5, stride=1, padding=2))
    return torch.cat(levels, dim=1)


class ConvBlock(nn.Module):
    """Convolution that keeps the size divided by its stride, BatchNorm, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        activation: Activation = "silu",
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)
        self.bn: nn.Module = batch_norm(out_channels)
        self.act = nn.SiLU(inplace=True) if activation == "silu" else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H/stride,W/stride)."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y

    def fuse(self) -> None:
        """Fold the BatchNorm into the convolution."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv = fuse_conv(self.conv, self.bn)
            self.bn = nn.Identity()


class DepthwiseBlock(nn.Module):
    """3x3 convolution within each channel, then a 1x1 convolution across them."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, activation: Activation) -> None:
        super().__init__()
        self.dconv = ConvBlock(in_channels, in_channels, 3, stride, groups=in_channels, activation=activation)
        self.pconv = ConvBlock(in_channels, out_channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H/stride,W/stride)."""
        y: Tensor = self.pconv(self.dconv(x))
        return y


class RepVGGBlock(nn.Module):
    """Sum of a 3x3 and a 1x1 convolution and, if shapes allow, the input, each with BatchNorm; then ReLU.

    ReLU whatever the network's activation: upstream accepts another one and ignores it. The deploy form is the
    one 3x3 convolution that computes the sum (RepVGG, arXiv 2101.03697, section 3.3).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, form: Form) -> None:
        super().__init__()
        self.stride = (stride, stride)
        self.rbr_reparam: nn.Conv2d | None = None
        self.rbr_dense: nn.Sequential | None = None
        self.rbr_1x1: nn.Sequential | None = None
        self.rbr_identity: nn.BatchNorm2d | None = None
        if form == "deploy":
            self.rbr_reparam = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
            return
        self.rbr_dense = _conv_bn(in_channels, out_channels, 3, stride)
        self.rbr_1x1 = _conv_bn(in_channels, out_channels, 1, stride)
        if in_channels == out_channels and stride == 1:
            self.rbr_identity = batch_norm(in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H/stride,W/stride)."""
        if self.rbr_reparam is not None:
            return functional.relu(self.rbr_reparam(x), inplace=True)
        total = reduce(torch.add, (branch(x) for branch in self._branches()))
        return functional.relu(total, inplace=True)

    def fuse(self) -> None:
        """Become the deploy form."""
        if self.rbr_reparam is not None:
            return
        folded = [self._fold(branch) for branch in self._branches()]
        dtype = next(self.parameters()).dtype
        weight = torch.stack([weight for weight, _ in folded]).sum(0).to(dtype)
        bias = torch.stack([bias for _, bias in folded]).sum(0).to(dtype)
        self.rbr_reparam = make_conv(weight, bias, stride=self.stride, padding=(1, 1))
        self.rbr_dense = self.rbr_1x1 = self.rbr_identity = None

    def _branches(self) -> list[nn.Module]:
        return [branch for branch in (self.rbr_dense, self.rbr_1x1, self.rbr_identity) if branch is not None]

    @staticmethod
    def _fold(branch: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the float64 3x3 kernel and bias that compute *branch*."""
        if isinstance(branch, nn.BatchNorm2d):
            channels = branch.num_features
            identity = torch.eye(channels, dtype=torch.float64).reshape(channels, channels, 1, 1)
            weight, bias = fold_batch_norm(identity, None, branch)
        else:
            conv, bn = branch.get_submodule("conv"), branch.get_submodule("bn")
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(bn, nn.BatchNorm2d)
            weight, bias = fold_batch_norm(conv.weight.double(), None, bn)
        margin = (3 - weight.shape[-1]) // 2
        return functional.pad(weight, [margin] * 4), bias


def _conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=batch_norm(out_channels)))


def conv3x3(
    conv_type: ConvType, in_channels: int, out_channels: int, stride: int = 1, *, activation: Activation, form: Form
) -> nn.Module:
    """Return a 3x3 convolution block of the given kind."""
    if conv_type == "repconv":
        return RepVGGBlock(in_channels, out_channels, stride, form=form)
    if conv_type == "dwconv":
        return DepthwiseBlock(in_channels, out_channels, stride, activation=activation)
    return ConvBlock(in_channels, out_channels, 3, stride, activation=activation)


class Bottleneck(nn.Module):
    """1x1 then 3x3 convolution of the same width, with the input added if *shortcut*."""

    def __init__(self, channels: int, *, shortcut: bool, depthwise: bool, activation: Activation) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels, 1, activation=activation)
        self.conv2 = conv3x3("dwconv" if depthwise else "conv", channels, channels, activation=activation, form="train")
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,C,H,W) to the same shape."""
        y: Tensor = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class CSPLayer(nn.Module):
    """Two halves, one of them through bottlenecks, merged by a 1x1 convolution (CSPNet, arXiv 1911.11929)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        blocks: int,
        *,
        shortcut: bool,
        depthwise: bool,
        activation: Activation,
    ) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.conv1 = ConvBlock(in_channels, hidden, 1, activation=activation)
        self.conv2 = ConvBlock(in_channels, hidden, 1, activation=activation)
        self.conv3 = ConvBlock(2 * hidden, out_channels, 1, activation=activation)
        self.m = nn.Sequential(
            *(Bottleneck(hidden, shortcut=shortcut, depthwise=depthwise, activation=activation) for _ in range(blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        y: Tensor = self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], dim=1))
        return y


class Focus(nn.Module):
    """Halve the image without losing a pixel, then convolve."""

    def __init__(self, out_channels: int, *, activation: Activation) -> None:
        super().__init__()
        self.conv = ConvBlock(4 * 3, out_channels, 3, activation=activation)
        self.fused = False

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,3,H,W) to (N,out,H/2,W/2)."""
        y: Tensor = self.conv(x if self.fused else space_to_channels(x))
        return y

    def fuse(self) -> None:
        """Become one strided 6x6 convolution of the image: the same sum, without taking the image apart first."""
        if self.fused:
            return
        self.conv.fuse()
        conv = self.conv.conv
        assert conv.bias is not None
        # The input channels are (column, row, colour) of the 2x2 square, see space_to_channels.
        weight = torch.unflatten(conv.weight, 1, (2, 2, 3)).permute(0, 3, 4, 2, 5, 1)
        weight = weight.reshape(conv.out_channels, 3, 6, 6)
        self.conv.conv = make_conv(weight, conv.bias, stride=(2, 2), padding=(2, 2))
        self.fused = True


class SPPBottleneck(nn.Module):
    """Spatial pyramid pooling of CSPDarknet, between two 1x1 convolutions."""

    def __init__(self, channels: int, *, activation: Activation) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels // 2, 1, activation=activation)
        self.conv2 = ConvBlock(2 * channels, channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,C,H,W) to the same shape."""
        y: Tensor = self.conv2(pool_pyramid(self.conv1(x)))
        return y


class SPPF(nn.Module):
    """Spatial pyramid pooling of RepVGGYOLOX, always with ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = ConvBlock(channels, channels // 2, 1, activation="relu")
        self.cv2 = ConvBlock(2 * channels, channels, 1, activation="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,C,H,W) to the same shape."""
        y: Tensor = self.cv2(pool_pyramid(self.cv1(x)))
        return y


class GSConv(nn.Module):
    """Half of the channels from a convolution, half from a 5x5 depthwise one after it, shuffled (arXiv 2206.02424).

    SiLU whatever the network's activation, and convolutions with a bias beside their BatchNorm: upstream passes
    the activation where the bias switch belongs, and its checkpoints are trained so.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        half = out_channels // 2
        self.cv1 = ConvBlock(in_channels, half, kernel, stride, bias=True)
        self.cv2 = ConvBlock(half, half, 5, groups=half, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H/stride,W/stride)."""
        dense = self.cv1(x)
        both = torch.cat([dense, self.cv2(dense)], dim=1)
        return torch.cat([both[:, ::2], both[:, 1::2]], dim=1)


class GSBottleneck(nn.Module):
    """Two GSConv after each other, without a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_lighting = nn.Sequential(GSConv(channels, channels // 2), GSConv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,C,H,W) to the same shape."""
        y: Tensor = self.conv_lighting(x)
        return y


class VoVGSCSP(nn.Module):
    """One half kept as it is and once through GS bottlenecks, merged by a 1x1 convolution; always SiLU."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.cv1 = ConvBlock(in_channels, hidden, 1)
        self.cv2 = ConvBlock(2 * hidden, out_channels, 1)
        self.m = nn.Sequential(*(GSBottleneck(hidden) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        half = self.cv1(x)
        y: Tensor = self.cv2(torch.cat([self.m(half), half], dim=1))
        return y
