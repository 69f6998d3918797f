"""The two backbones of the YOLOX family; both give features of strides 8, 16 and 32."""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import SPPF, CSPLayer, Focus, RepVGGBlock, SPPBottleneck, conv3x3
from .variant import ConvType, Variant

# Channels after each halving of the image, at width 1: Megvii models/darknet.py, EasyCV repvgg_yolox_backbone.py.
_CHANNELS = (64, 128, 256, 512, 1024)


class CSPDarknet(nn.Module):
    """Focus stem and four stages of a strided convolution and a CSP layer (Megvii models/darknet.py)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        stem, *stages = (variant.channels(base) for base in _CHANNELS)
        self.stem = Focus(stem, activation=variant.activation)
        self.dark2 = self._stage(variant, 0, stem, stages[0])
        self.dark3 = self._stage(variant, 1, stages[0], stages[1])
        self.dark4 = self._stage(variant, 2, stages[1], stages[2])
        self.dark5 = self._stage(variant, 3, stages[2], stages[3])

    @staticmethod
    def _stage(variant: Variant, index: int, in_channels: int, out_channels: int) -> nn.Sequential:
        last = index == len(variant.blocks) - 1
        conv_type: ConvType = "dwconv" if variant.depthwise else "conv"
        layers = [
            conv3x3(conv_type, in_channels, out_channels, 2, activation=variant.activation, form="train"),
            CSPLayer(
                out_channels,
                out_channels,
                variant.blocks[index],
                shortcut=not last,
                depthwise=variant.depthwise,
                activation=variant.activation,
            ),
        ]
        if last:
            layers.insert(1, SPPBottleneck(out_channels, activation=variant.activation))
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute (N,3,H,W) to (N,256,H/8,W/8), (N,512,H/16,W/16), (N,1024,H/32,W/32), channels times the width."""
        stride8 = self.dark3(self.dark2(self.stem(x)))
        stride16 = self.dark4(stride8)
        return stride8, stride16, self.dark5(stride16)


class RepVGGYOLOX(nn.Module):
    """Five stages of RepVGG blocks, pyramid pooling at the end (EasyCV models/backbones/repvgg_yolox_backbone.py)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        stem, *stages = (variant.channels(base) for base in _CHANNELS)
        self.stage0 = RepVGGBlock(3, stem, 2, form=variant.form)
        self.stage1 = self._stage(variant, 0, stem, stages[0])
        self.stage2 = self._stage(variant, 1, stages[0], stages[1])
        self.stage3 = self._stage(variant, 2, stages[1], stages[2])
        self.stage4 = self._stage(variant, 3, stages[2], stages[3])
        self.stage4.append(SPPF(stages[3]))

    @staticmethod
    def _stage(variant: Variant, index: int, in_channels: int, out_channels: int) -> nn.Sequential:
        rest = (RepVGGBlock(out_channels, out_channels, form=variant.form) for _ in range(variant.blocks[index] - 1))
        return nn.Sequential(RepVGGBlock(in_channels, out_channels, 2, form=variant.form), *rest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute (N,3,H,W) to (N,256,H/8,W/8), (N,512,H/16,W/16), (N,1024,H/32,W/32), channels times the width."""
        stride8 = self.stage2(self.stage1(self.stage0(x)))
        stride16 = self.stage3(stride8)
        return stride8, stride16, self.stage4(stride16)
