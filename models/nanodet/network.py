"""The NanoDet-Plus-m network in PyTorch: backbone, feature pyramid, head. Training-only parts are left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import ConvBlock, GhostBlocks, Layers, SeparableBlock, activation, conv
from .variant import Variant

# One level more than the backbone has stages.
_LEVELS = 4


class ShuffleUnit(nn.Module):
    """One unit of ShuffleNetV2 (arXiv 1807.11164, figure 3): two branches, their channels interleaved.

    At stride 1 one half of the channels passes unchanged, at stride 2 both branches see them all.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.stride = stride
        self.branch1 = Layers()
        if stride > 1:
            self.branch1 = Layers(
                conv(in_channels, in_channels, 3, stride, groups=in_channels),
                nn.BatchNorm2d(in_channels),
                conv(in_channels, half, 1),
                nn.BatchNorm2d(half),
                activation(),
            )
        self.branch2 = Layers(
            conv(in_channels if stride > 1 else half, half, 1),
            nn.BatchNorm2d(half),
            activation(),
            conv(half, half, 3, stride, groups=half),
            nn.BatchNorm2d(half),
            conv(half, half, 1),
            nn.BatchNorm2d(half),
            activation(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H/stride,W/stride)."""
        first, second = (x, x) if self.stride > 1 else x.chunk(2, dim=1)
        return interleave(self.branch1(first), self.branch2(second))


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Take channels from two (N,C,H,W) in turns, to (N,2C,H,W): the channel shuffle of two groups."""
    return torch.stack((first, second), dim=2).flatten(1, 2)


class ShuffleNetV2(nn.Module):
    """The backbone without its classifier and last convolution (backbone/shufflenetv2.py)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.conv1 = Layers(conv(3, variant.stem, 3, 2), nn.BatchNorm2d(variant.stem), activation())
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inputs = (variant.stem, *variant.stages[:2])
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(
                ShuffleUnit(in_channels, out_channels, 2),
                *(ShuffleUnit(out_channels, out_channels, 1) for _ in range(repeats - 1)),
            )
            for in_channels, out_channels, repeats in zip(inputs, variant.stages, variant.repeats, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute (N,3,H,W) to the stages at strides 8, 16 and 32."""
        c3 = self.stage2(self.maxpool(self.conv1(x)))
        c4 = self.stage3(c3)
        return c3, c4, self.stage4(c4)


class GhostPAN(nn.Module):
    """Feature pyramid: down from the coarsest stage, up again, and one coarser level (fpn/ghost_pan.py)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width, kernel = variant.neck, variant.neck_kernel

        def merges() -> nn.ModuleList:
            return nn.ModuleList(GhostBlocks(2 * width, width, kernel, variant.neck_blocks) for _ in range(2))

        def halvings(number: int) -> nn.ModuleList:
            return nn.ModuleList(SeparableBlock(width, kernel, stride=2) for _ in range(number))

        self.reduce_layers = nn.ModuleList(ConvBlock(channels, width) for channels in variant.stages)
        self.top_down_blocks = merges()
        self.downsamples = halvings(2)
        self.bottom_up_blocks = merges()
        self.extra_lvl_in_conv = halvings(1)
        self.extra_lvl_out_conv = halvings(1)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Compute the backbone's stages to (N,neck,h,w) at strides 8, 16, 32 and 64, the last rounded up."""
        c3, c4, c5 = (reduce(feature) for reduce, feature in zip(self.reduce_layers, features, strict=True))
        t4 = self.top_down_blocks[0](torch.cat([_enlarge(c5, c4), c4], dim=1))
        p3 = self.top_down_blocks[1](torch.cat([_enlarge(t4, c3), c3], dim=1))
        p4 = self.bottom_up_blocks[0](torch.cat([self.downsamples[0](p3), t4], dim=1))
        p5 = self.bottom_up_blocks[1](torch.cat([self.downsamples[1](p4), c5], dim=1))
        p6 = self.extra_lvl_in_conv[0](c5) + self.extra_lvl_out_conv[0](p5)
        return p3, p4, p5, p6


def _enlarge(x: Tensor, target: Tensor) -> Tensor:
    """Resize (N,C,h,w) bilinearly to the height and width of *target*."""
    return functional.interpolate(x, size=target.shape[2:], mode="bilinear", align_corners=False)


class _Project(nn.Module):
    """Holder of the bins' numbers, which checkpoints store and the decoding after the network uses."""

    project: Tensor

    def __init__(self, reg_max: int) -> None:
        super().__init__()
        self.register_buffer("project", torch.arange(reg_max + 1, dtype=torch.float32))


class NanoDetPlusHead(nn.Module):
    """At each level, convolutions and one prediction of classes and box sides (head/nanodet_plus_head.py)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width = variant.neck
        self.split = (variant.num_classes, variant.predictions - variant.num_classes)
        self.distribution_project = _Project(variant.reg_max)
        self.cls_convs = nn.ModuleList(
            nn.Sequential(*(SeparableBlock(width, variant.head_kernel) for _ in range(variant.head_convs)))
            for _ in range(_LEVELS)
        )
        self.gfl_cls = nn.ModuleList(nn.Conv2d(width, variant.predictions, 1) for _ in range(_LEVELS))

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Compute the pyramid's levels to the eight outputs, see `NanoDetPlus.forward`."""
        outputs: dict[str, Tensor] = {}
        for level, feature in enumerate(features):
            predicted = self.gfl_cls[level](self.cls_convs[level](feature))
            outputs[f"cls_score_{level}"], outputs[f"bbox_pred_{level}"] = predicted.split(self.split, dim=1)
        return outputs


class NanoDetPlus(nn.Module):
    """Backbone, pyramid and head of a variant; keys and shapes of its state dict are those of the checkpoints."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.backbone = ShuffleNetV2(variant)
        self.fpn = GhostPAN(variant)
        self.head = NanoDetPlusHead(variant)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the raw predictions.

        Args:
            x: (N,3,H,W) float32, preprocessed; H and W are multiples of 32.

        Returns:
            For i = 0 .. 3, strides s = 8, 16, 32, 64, with h = H/s and w = W/s rounded up: ``cls_score_i`` (N,C,h,w),
            logits before the sigmoid, and ``bbox_pred_i`` (N,4(R+1),h,w), logits of the R+1 bins of left, top, right
            and bottom; in the order cls_score_0, bbox_pred_0, cls_score_1 ...

        """
        outputs: dict[str, Tensor] = self.head(self.fpn(self.backbone(x)))
        return outputs
