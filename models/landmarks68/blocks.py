"""Building blocks of the stacked hourglass network.

Attribute names are those of the published checkpoints, because they are the checkpoints' keys; sources are files of
ZhenglinZhou/STAR under lib/backbone. All tensors are float32 NCHW; a block keeps height and width unless it has a
stride. Blocks fold the BatchNorms that follow a convolution when they are asked to fuse.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..ops.fusion import fuse_conv, make_conv
from .contours import CONTOURS, NUM_POINTS

# Heat of the last point above this marks the boundary (coord_conv.py).
_BOUNDARY_HEAT = 0.05
_COORDINATES = 3
_BOUNDARY = 2


class ConvBlock(nn.Module):
    """Convolution with bias, then BatchNorm and ReLU where they are wanted (core of stackedHGNetV1.py)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, *, normalised: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.bn: nn.Module | None = nn.BatchNorm2d(out_channels) if normalised else None
        self.act: nn.Module = nn.ReLU(inplace=True) if normalised else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        y: Tensor = self.act(x)
        return y

    def fuse(self) -> None:
        """Fold the BatchNorm."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv(self.conv, self.bn), None


class ResBlock(nn.Module):
    """Bottleneck whose BatchNorms and ReLUs come before its convolutions (arXiv 1603.05027).

    Checkpoints hold a projection for the shortcut of every block; it is used where the number of channels changes.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = out_channels // 2
        self.bn1: nn.Module = nn.BatchNorm2d(in_channels)
        self.conv1 = ConvBlock(in_channels, middle)
        self.bn2: nn.Module = nn.BatchNorm2d(middle)
        self.conv2 = ConvBlock(middle, middle, 3)
        self.bn3: nn.Module = nn.BatchNorm2d(middle)
        self.conv3 = ConvBlock(middle, out_channels)
        self.skip_layer = ConvBlock(in_channels, out_channels)
        self.projects = in_channels != out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        y = self.conv1(functional.relu(self.bn1(x)))
        y = self.conv2(functional.relu(self.bn2(y)))
        y = self.conv3(functional.relu(self.bn3(y)))
        shortcut = self.skip_layer(x) if self.projects else x
        return torch.add(y, shortcut)

    def fuse(self) -> None:
        """Fold the BatchNorms between the convolutions; what comes before the first one reads a sum."""
        if isinstance(self.bn2, nn.BatchNorm2d) and isinstance(self.bn3, nn.BatchNorm2d):
            self.conv1.conv, self.bn2 = fuse_conv(self.conv1.conv, self.bn2), nn.Identity()
            self.conv2.conv, self.bn3 = fuse_conv(self.conv2.conv, self.bn3), nn.Identity()


def axis(size: int) -> Tensor:
    """Return (size,) float32, evenly from -1 at the first pixel to 1 at the last; on the CPU."""
    return torch.arange(size, dtype=torch.float32, device="cpu") / (size - 1) * 2 - 1


def coordinate_maps(size: int) -> Tensor:
    """Return (1,3,size,size) float32 on the CPU: row, column, and distance from the middle over the largest one.

    coord_conv.py, AddCoordsTh. Rows come first, although upstream's variable is called x.
    """
    rows, columns = torch.meshgrid(axis(size), axis(size), indexing="ij")
    distance = torch.sqrt(rows**2 + columns**2)
    return torch.stack((rows, columns, distance / distance.max()))[None]


class CoordConv(nn.Module):
    """Convolution that also sees where it is (arXiv 1807.03247): coordinates are added as channels.

    With *boundary*, the row and the column are added once more, kept where the previous stack saw the last point's
    heat and zero elsewhere (coord_conv.py, CoordConvTh).
    """

    maps: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        normalised: bool = False,
        boundary: bool = False,
    ) -> None:
        super().__init__()
        added = _COORDINATES + (_BOUNDARY if boundary else 0)
        self.conv = nn.Conv2d(in_channels + added, out_channels, kernel, stride, kernel // 2)
        self.bn: nn.Module | None = nn.BatchNorm2d(out_channels) if normalised else None
        self.act: nn.Module = nn.ReLU(inplace=True) if normalised else nn.Identity()
        self.in_channels = in_channels
        # Of the coordinates alone, once they are apart from the features.
        self.place_conv: nn.Module | None = None
        self.register_buffer("maps", coordinate_maps(size), persistent=False)

    def forward(self, x: Tensor, heat: Tensor | None = None) -> Tensor:
        """Compute (N,in,size,size) to (N,out,size/stride,size/stride).

        Args:
            x: Features.
            heat: (N,points,size,size) heat maps of the previous stack, for the boundary; None without one.

        """
        place = self._place(x.shape[0], heat)
        if self.place_conv is None:
            x = self.conv(torch.cat([x, place], dim=1))
        else:
            x = self.conv(x) + self.place_conv(place)
        if self.bn is not None:
            x = self.bn(x)
        y: Tensor = self.act(x)
        return y

    def _place(self, batch: int, heat: Tensor | None) -> Tensor:
        """Return the (N,3,size,size) coordinates, or five channels with those of the boundary."""
        maps = self.maps.expand(batch, -1, -1, -1)
        if heat is None:
            return maps
        boundary = torch.where(heat[:, -1:] > _BOUNDARY_HEAT, maps[:, :_BOUNDARY], 0.0)
        return torch.cat([maps, boundary], dim=1)

    def fuse(self) -> None:
        """Fold the BatchNorm, and give the coordinates a convolution of their own.

        Joined to the features they make a number of channels, 259 or 261, that ONNX Runtime's blocked layout does not
        take; two convolutions whose outputs are added up stay in it.
        """
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv(self.conv, self.bn), None
        if self.place_conv is None:
            self.conv, self.place_conv = _split(self.conv, self.in_channels)


def _split(conv: nn.Conv2d, channels: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Return convolutions of the first *channels* and of the others; their outputs add up to that of *conv*."""
    bias = cast("Tensor", conv.bias)
    padding = cast("tuple[int, int]", conv.padding)
    first, others = conv.weight[:, :channels].contiguous(), conv.weight[:, channels:].contiguous()
    return (
        make_conv(first, bias, stride=conv.stride, padding=padding),
        make_conv(others, torch.zeros_like(bias), stride=conv.stride, padding=padding),
    )


class Hourglass(nn.Module):
    """One scale of an hourglass and, within it, all coarser ones (arXiv 1603.06937)."""

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        self.up1 = ResBlock(width, width)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.low1 = ResBlock(width, width)
        self.low2: nn.Module = Hourglass(levels - 1, width) if levels > 1 else ResBlock(width, width)
        self.low3 = ResBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,width,H,W) to the same shape; H and W are multiples of 2**levels."""
        low: Tensor = self.low3(self.low2(self.low1(self.pool1(x))))
        fine: Tensor = self.up1(x)
        # By a factor and not to a size: that would be worked out from the batch in every run of an exported file, and
        # keep ONNX Runtime out of its blocked layout.
        return fine + _double(low)


class CoordHourglass(Hourglass):
    """The outermost scale, which knows where it is and where the previous hourglass saw the boundary."""

    def __init__(self, levels: int, width: int, size: int, *, boundary: bool) -> None:
        super().__init__(levels, width)
        self.coordconv = CoordConv(width, width, size, boundary=boundary)

    def forward(self, x: Tensor, heat: Tensor | None = None) -> Tensor:
        """Compute (N,width,size,size) to the same shape; *heat* is that of `CoordConv.forward`."""
        return super().forward(self.coordconv(x, heat))


class EdgesToPoints(nn.Module):
    """Give each point the map of the contour it is on (stackedHGNetV1.py, E2HTransform).

    The buffers are part of the state dict: ones where a point is on a contour, see `plan.edge_constants`.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(NUM_POINTS, len(CONTOURS), 1, 1))
        self.register_buffer("bias", torch.zeros(NUM_POINTS))

    def forward(self, edges: Tensor) -> Tensor:
        """Compute (N,9,H,W) to (N,68,H,W)."""
        return functional.conv2d(edges, self.weight, self.bias)


def _double(x: Tensor) -> Tensor:
    """Give each pixel of (N,C,h,w) twice the height and width."""
    if torch.compiler.is_exporting():
        # A constant in the file; with a size, which would depend on the batch's shape, ONNX Runtime leaves its fast
        # layout around every one of these.
        return functional.interpolate(x, scale_factor=2.0, mode="nearest")
    # torch_npu has no kernel for factors.
    return functional.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="nearest")
