"""Building blocks of MobileFaceNet (arXiv 1804.07573).

Attribute names are those of the published checkpoint, because they are its keys; the source is
modelscope/models/cv/hand_static/networks.py of modelscope/modelscope. All tensors are float32 NCHW. Blocks fold their
BatchNorms when they are asked to fuse.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..ops.fusion import fuse_conv


class LinearBlock(nn.Module):
    """Convolution and BatchNorm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,h,w)."""
        y: Tensor = self.bn(self.conv(x))
        return y

    def fuse(self) -> None:
        """Fold the BatchNorm."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv(self.conv, self.bn), nn.Identity()


class ConvBlock(LinearBlock):
    """Convolution, BatchNorm and PReLU with a slope for each channel (arXiv 1502.01852)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, padding=padding, groups=groups)
        self.prelu: nn.Module = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,h,w)."""
        y: Tensor = self.prelu(super().forward(x))
        return y


class Bottleneck(nn.Module):
    """Up to more channels, 3x3 within each of them, and back down without an activation (figure 1 of the paper)."""

    def __init__(self, in_channels: int, expanded: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = ConvBlock(in_channels, expanded)
        self.conv_dw = ConvBlock(expanded, expanded, 3, stride=stride, padding=1, groups=expanded)
        self.project = LinearBlock(expanded, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H/stride,W/stride), sides rounded up."""
        y: Tensor = self.project(self.conv_dw(self.conv(x)))
        return y


class Residual(nn.Module):
    """Bottlenecks in a row that each add to what they are given."""

    def __init__(self, channels: int, expanded: int, repeats: int) -> None:
        super().__init__()
        self.model = nn.ModuleList(Bottleneck(channels, expanded, channels, 1) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,C,H,W) to the same shape."""
        for bottleneck in self.model:
            x = x + bottleneck(x)
        return x
