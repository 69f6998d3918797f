"""STAR's StackedHGNetV1 in PyTorch, for 68 points: stem, hourglasses, attention maps, centroids (arXiv 2306.02763)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import ConvBlock, CoordConv, CoordHourglass, EdgesToPoints, ResBlock, axis
from .contours import CONTOURS, NUM_POINTS
from .variant import Variant

INPUT_SIZE = 256
# Upstream gives the hourglasses coordinates of INPUT_SIZE over the number of stacks, which fits its maps with four.
_MAP_SIZE = INPUT_SIZE // 4
# decoder_default.py of ZhenglinZhou/STAR: an empty map has its centroid in the middle.
_LEAST_MASS = 1e-6


class Maps(NamedTuple):
    """The maps that one stack computes, (N,C,64,64) float32.

    Attributes:
        features: C = width.
        heat: C = 68, at least 0, each map over its own standard deviation.
        points: C = 68, in 0..1, attention on the points.
        edges: C = 9, in 0..1, attention on the contours.

    """

    features: Tensor
    heat: Tensor
    points: Tensor
    edges: Tensor


class StackedHourglass(nn.Module):
    """The network of a variant; keys and shapes of its state dict are those of the checkpoints."""

    grid: Tensor

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        stem, width, stacks = variant.stem, variant.width, variant.stacks

        def heads(channels: int) -> nn.ModuleList:
            return nn.ModuleList(ConvBlock(width, channels) for _ in range(stacks))

        def merges(channels: int) -> nn.ModuleList:
            return nn.ModuleList(ConvBlock(channels, width) for _ in range(stacks - 1))

        self.pre = nn.Sequential(
            CoordConv(3, stem, INPUT_SIZE, kernel=7, stride=2, normalised=True),
            ResBlock(stem, 2 * stem),
            nn.MaxPool2d(2, 2),
            ResBlock(2 * stem, 2 * stem),
            ResBlock(2 * stem, width),
        )
        self.hgs = nn.ModuleList(
            CoordHourglass(variant.levels, width, _MAP_SIZE, boundary=stack > 0) for stack in range(stacks)
        )
        self.features = nn.ModuleList(
            nn.Sequential(ResBlock(width, width), ConvBlock(width, width, normalised=True)) for _ in range(stacks)
        )
        self.out_heatmaps, self.out_pointmaps = heads(NUM_POINTS), heads(NUM_POINTS)
        self.out_edgemaps = heads(len(CONTOURS))
        self.e2h_transform = EdgesToPoints()
        self.merge_features, self.merge_edgemaps = merges(width), merges(len(CONTOURS))
        self.merge_heatmaps, self.merge_pointmaps = merges(NUM_POINTS), merges(NUM_POINTS)
        self.register_buffer("grid", centroid_grid(_MAP_SIZE), persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the landmarks.

        Args:
            x: (N,3,256,256) float32, preprocessed.

        Returns:
            ``landmarks`` (N,68,2) float32, x y in -1..1 from the left and upper edge of the image to the right and
            lower one.

        """
        maps = list(self.run_stacks(x))[-1]
        return {"landmarks": self.centroids(self.fuse_maps(maps))}

    def run_stacks(self, x: Tensor) -> Iterator[Maps]:
        """Yield the maps of each stack."""
        x = self.pre(x)
        heat = None
        for stack, hourglass in enumerate(self.hgs):
            maps = self._see(stack, hourglass(x, heat))
            heat = maps.heat
            yield maps
            if stack + 1 < len(self.hgs):
                x = self._merge(stack, x, maps)

    def _see(self, stack: int, x: Tensor) -> Maps:
        features = self.features[stack](x)
        heat = functional.relu(functional.instance_norm(self.out_heatmaps[stack](features), eps=1e-5))
        points = torch.sigmoid(self.out_pointmaps[stack](features))
        return Maps(features, heat, points, torch.sigmoid(self.out_edgemaps[stack](features)))

    def _merge(self, stack: int, x: Tensor, maps: Maps) -> Tensor:
        """Return the next stack's input, (N,width,64,64)."""
        x = x + self.merge_features[stack](maps.features) + self.merge_heatmaps[stack](maps.heat)
        y: Tensor = x + self.merge_pointmaps[stack](maps.points) + self.merge_edgemaps[stack](maps.edges)
        return y

    def fuse_maps(self, maps: Maps) -> Tensor:
        """Return (N,68,64,64): the heat, where both the point and its contour are."""
        fusion: Tensor = self.e2h_transform(maps.edges) * maps.points * maps.heat
        return fusion

    def centroids(self, fusion: Tensor) -> Tensor:
        """Return (N,68,2): x y of the centre of mass of each map, pixel centres from -1 to 1 inclusive."""
        moments = fusion.flatten(2) @ self.grid
        return moments[..., :2] / moments[..., 2:].clamp(min=_LEAST_MASS)


def centroid_grid(size: int) -> Tensor:
    """Return (size*size,3) float32 on the CPU: x, y and 1 of each pixel, row by row."""
    rows, columns = torch.meshgrid(axis(size), axis(size), indexing="ij")
    return torch.stack((columns, rows, torch.ones_like(rows)), dim=-1).flatten(0, 1)
