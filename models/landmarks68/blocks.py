"""Building blocks of the stacked hourglass network.

Attribute names are those of the published checkpoints, because they are the checkpoints' keys; sources are files of
ZhenglinZhou/STAR under lib/backbone. All tensors are float32 NCHW; a block keeps height and width unless it has a
stride. Blocks fold the BatchNorms that follow a convolution when they are asked to fuse.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..fusion import fuse_conv
from .contours import CONTOURS, NUM_POINTS

# Of all coordinates and maps: heat above this marks the face's boundary (coord_conv.py).
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
        self.register_buffer("maps", coordinate_maps(size), persistent=False)

    def forward(self, x: Tensor, heat: Tensor | None = None) -> Tensor:
        """Compute (N,in,size,size) to (N,out,size/stride,size/stride).

        Args:
            x: Features.
            heat: (N,points,size,size) heat maps of the previous stack, for the boundary; None without one.

        """
        maps = self.maps.expand(len(x), -1, -1, -1)
        channels = [x, maps]
        if heat is not None:
            channels.append(torch.where(heat[:, -1:] > _BOUNDARY_HEAT, maps[:, :_BOUNDARY], 0.0))
        x = self.conv(torch.cat(channels, dim=1))
        if self.bn is not None:
            x = self.bn(x)
        y: Tensor = self.act(x)
        return y

    def fuse(self) -> None:
        """Fold the BatchNorm."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv(self.conv, self.bn), None


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
        return fine + functional.interpolate(low, size=fine.shape[2:], mode="nearest")


class CoordHourglass(Hourglass):
    """The outermost scale, which knows where it is and where the previous hourglass saw the boundary."""

    def __init__(self, levels: int, width: int, size: int, *, boundary: bool) -> None:
        super().__init__(levels, width)
        self.coordconv = CoordConv(width, width, size, boundary=boundary)

    def forward(self, x: Tensor, heat: Tensor | None = None) -> Tensor:
        """Compute (N,width,size,size) to the same shape; *heat* is that of `CoordConv.forward`."""
        return super().forward(self.coordconv(x, heat))


def edge_weights() -> Tensor:
    """Return (68,9,1,1) float32 on the CPU: 1 where a point is on a contour, else 0."""
    weight = torch.zeros(NUM_POINTS, len(CONTOURS), 1, 1, device="cpu")
    for edge, contour in enumerate(CONTOURS):
        weight[list(contour.points), edge] = 1
    return weight


class EdgesToPoints(nn.Module):
    """Give each point the map of the contour it is on (stackedHGNetV1.py, E2HTransform)."""

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", edge_weights())
        self.register_buffer("bias", torch.zeros(NUM_POINTS))

    def forward(self, edges: Tensor) -> Tensor:
        """Compute (N,9,H,W) to (N,68,H,W)."""
        return functional.conv2d(edges, self.weight, self.bias)
