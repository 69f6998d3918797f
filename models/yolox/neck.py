"""Path aggregation between the scales, and adaptive fusion of its results."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .backbones import CSPDarknet, RepVGGYOLOX
from .blocks import ConvBlock, CSPLayer, GSConv, VoVGSCSP, conv3x3, space_to_channels
from .variant import ConvType, Variant

Features = tuple[Tensor, Tensor, Tensor]


class _Names(NamedTuple):
    """The checkpoints' names of the neck's layers; p: on the way up to stride 8, n: on the way down."""

    reduce_p4: str
    merge_p4: str
    reduce_p3: str
    merge_p3: str
    down_n3: str
    merge_n3: str
    down_n4: str
    merge_n4: str


_YOLO = _Names("lateral_conv0", "C3_p4", "reduce_conv1", "C3_p3", "bu_conv2", "C3_n3", "bu_conv1", "C3_n4")
_GSCONV_PART = _YOLO._replace(reduce_p4="gsconv1", reduce_p3="gsconv2", down_n3="gsconv4", down_n4="gsconv5")
_GSCONV_ALL = _GSCONV_PART._replace(
    merge_p4="vovGSCSP1", merge_p3="vovGSCSP2", merge_n3="vovGSCSP3", merge_n4="vovGSCSP4"
)


class PAFPN(nn.Module):
    """Backbone, path aggregation up and down, and ASFF if the variant has it.

    Megvii models/yolo_pafpn.py and EasyCV detectors/yolox/yolo_pafpn.py. The kinds of neck differ in their layers,
    not in how these are joined.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.backbone = CSPDarknet(variant) if variant.backbone == "CSPDarknet" else RepVGGYOLOX(variant)
        gsconv_all = variant.neck == "gsconv" and variant.neck_mode == "all"
        self.names = _YOLO if variant.neck == "yolo" else _GSCONV_ALL if gsconv_all else _GSCONV_PART
        c3, c4, c5 = (variant.channels(base) for base in (256, 512, 1024))
        self._add_resampling(variant, c3, c4, c5)
        for name, in_channels, out_channels in (
            (self.names.merge_p4, 2 * c4, c4),
            (self.names.merge_p3, 2 * c3, c3),
            (self.names.merge_n3, 2 * c3, c4),
            (self.names.merge_n4, 2 * c4, c5),
        ):
            self.add_module(name, _merge_layer(variant, in_channels, out_channels))
        # Only the whole GSConv neck mixes once more before merging at stride 8.
        self.gsconv3 = GSConv(2 * c3, 2 * c3) if gsconv_all else nn.Identity()
        # From the coarsest scale to the finest.
        self.attention = [f"asff_{level + 1}" for level in range(3)] if variant.attention else []
        for level, name in enumerate(self.attention):
            self.add_module(name, ASFF(variant, level))

    def _add_resampling(self, variant: Variant, c3: int, c4: int, c5: int) -> None:
        names = self.names
        if variant.neck == "gsconv":
            self.add_module(names.reduce_p4, GSConv(c5, c4))
            self.add_module(names.reduce_p3, GSConv(c4, c3))
            self.add_module(names.down_n3, GSConv(c3, c3, 3, 2))
            self.add_module(names.down_n4, GSConv(c4, c4, 3, 2))
            return
        conv_type: ConvType = "dwconv" if variant.depthwise else "conv"
        self.add_module(names.reduce_p4, ConvBlock(c5, c4, 1, activation=variant.activation))
        self.add_module(names.reduce_p3, ConvBlock(c4, c3, 1, activation=variant.activation))
        for name, channels in ((names.down_n3, c3), (names.down_n4, c4)):
            layer = conv3x3(conv_type, channels, channels, 2, activation=variant.activation, form="train")
            self.add_module(name, layer)

    def forward(self, image: Tensor) -> Features:
        """Compute (N,3,H,W) to features of strides 8, 16, 32 with 256, 512, 1024 channels times the width."""
        stride8, stride16, stride32 = self.backbone(image)
        run = self._run
        names = self.names
        up32 = run(names.reduce_p4, stride32)
        merged16 = run(names.merge_p4, torch.cat([_upsample(up32, stride16), stride16], dim=1))
        up16 = run(names.reduce_p3, merged16)
        mixed8 = self.gsconv3(torch.cat([_upsample(up16, stride8), stride8], dim=1))
        out8 = run(names.merge_p3, mixed8)
        out16 = run(names.merge_n3, torch.cat([run(names.down_n3, out8), up16], dim=1))
        out32 = run(names.merge_n4, torch.cat([run(names.down_n4, out16), up32], dim=1))
        if not self.attention:
            return out8, out16, out32
        # Each ASFF reads the three scales as they came out of the neck, not what another ASFF made of them.
        fused32, fused16, fused8 = (self.get_submodule(name)((out8, out16, out32)) for name in self.attention)
        return fused8, fused16, fused32

    def _run(self, name: str, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(name)(x)
        return y


def _merge_layer(variant: Variant, in_channels: int, out_channels: int) -> nn.Module:
    if variant.neck == "gsconv" and variant.neck_mode == "all":
        return VoVGSCSP(in_channels, out_channels, variant.neck_blocks)
    return CSPLayer(
        in_channels,
        out_channels,
        variant.neck_blocks,
        shortcut=False,
        depthwise=variant.depthwise,
        activation=variant.activation,
    )


class ASFF(nn.Module):
    """Weighted sum of the three scales, brought to the size of one, with weights by position (arXiv 1911.09516).

    EasyCV detectors/yolox/asff.py. Scales are counted from the coarsest: 0 has stride 32, 2 has stride 8. ASFF
    resizes with learned convolutions; ASFF_sim averages pairs of channels and moves squares of pixels into channels.
    """

    def __init__(self, variant: Variant, scale: int) -> None:
        super().__init__()
        channels = [variant.channels(base) for base in (1024, 512, 256)]
        own = channels[scale]
        activation = variant.activation
        self.scale = scale
        self.learned = variant.attention == "ASFF"
        for source in range(3) if self.learned else ():
            if source < scale:
                self.add_module(f"compress_level_{source}", ConvBlock(channels[source], own, 1, activation=activation))
            elif source > scale:
                self.add_module(f"stride_level_{source}", ConvBlock(channels[source], own, 3, 2, activation=activation))
        for source in range(3):
            layer = ConvBlock(own, variant.asff_channels, 1, activation=activation)
            self.add_module(f"weight_level_{source}", layer)
        self.weight_levels = ConvBlock(3 * variant.asff_channels, 3, 1, activation=activation)
        self.expand = ConvBlock(own, own, variant.expand_kernel, activation=activation)

    def forward(self, features: Features) -> Tensor:
        """Compute the three features, finest first, to one of the shape of this scale's."""
        scales = features[::-1]
        own = scales[self.scale]
        resize = self._resize_learned if self.learned else self._resize_simple
        resized = [own if source == self.scale else resize(source, x, own) for source, x in enumerate(scales)]
        weights = [self.get_submodule(f"weight_level_{source}")(x) for source, x in enumerate(resized)]
        shares = torch.softmax(self.weight_levels(torch.cat(weights, dim=1)), dim=1)
        mixed = reduce(torch.add, (x * shares[:, source : source + 1] for source, x in enumerate(resized)))
        y: Tensor = self.expand(mixed)
        return y

    def _resize_learned(self, source: int, x: Tensor, own: Tensor) -> Tensor:
        if source < self.scale:
            return _upsample(self.get_submodule(f"compress_level_{source}")(x), own)
        if source - self.scale == 2:  # noqa: PLR2004 - two scales apart: halve twice
            x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        y: Tensor = self.get_submodule(f"stride_level_{source}")(x)
        return y

    def _resize_simple(self, source: int, x: Tensor, own: Tensor) -> Tensor:
        if source < self.scale:
            for _ in range(self.scale - source):
                x = _halve_channels(x)
            return _upsample(x, own)
        x = space_to_channels(x)
        if source - self.scale == 2:  # noqa: PLR2004 - two scales apart: halve twice
            return functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return _halve_channels(x)


def _upsample(x: Tensor, like: Tensor) -> Tensor:
    """Enlarge to the height and width of *like* by repeating pixels."""
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")


def _halve_channels(x: Tensor) -> Tensor:
    """Average neighbouring channels, (N,C,H,W) to (N,C/2,H,W)."""
    return (x[:, ::2] + x[:, 1::2]) / 2
