"""The two prediction heads: YOLOX's decoupled one, and that of TOOD."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import ConvBlock, conv3x3
from .neck import Features
from .variant import Variant

# mmcv's ConvModule as EasyCV's tood_head.py uses it; PyTorch's default eps.
_GN_GROUPS = 32
_GN_EPS = 1e-5


class YOLOXHead(nn.Module):
    """A branch for the class, another for box and objectness, at each of the three scales.

    Megvii models/yolo_head.py, EasyCV detectors/yolox/yolo_head.py.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width = variant.channels(256)
        scales = range(3)

        def branch() -> nn.Sequential:
            return nn.Sequential(
                *(
                    conv3x3(variant.conv_type, width, width, activation=variant.activation, form=variant.form)
                    for _ in range(2)
                )
            )

        self.stems = nn.ModuleList(
            ConvBlock(variant.channels(base), width, 1, activation=variant.activation) for base in (256, 512, 1024)
        )
        self.cls_convs = nn.ModuleList(branch() for _ in scales)
        self.reg_convs = nn.ModuleList(branch() for _ in scales)
        self.cls_preds = nn.ModuleList(nn.Conv2d(width, variant.num_classes, 1) for _ in scales)
        self.reg_preds = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in scales)
        self.obj_preds = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in scales)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Compute the neck's features to the nine logits, see `YOLOX.forward`."""
        outputs: dict[str, Tensor] = {}
        for scale, feature in enumerate(features):
            cls_input, reg_input = self._split(scale, self.stems[scale](feature))
            cls_feature = self.cls_convs[scale](cls_input)
            reg_feature = self.reg_convs[scale](reg_input)
            outputs[f"cls_{scale}"] = self.cls_preds[scale](cls_feature)
            outputs[f"reg_{scale}"] = self.reg_preds[scale](reg_feature)
            outputs[f"obj_{scale}"] = self.obj_preds[scale](reg_feature)
        return outputs

    def _split(self, scale: int, x: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Return what the class and the box branch of *scale* start from."""
        return x, x


class TOODHead(YOLOXHead):
    """YOLOX's head whose branches start from a weighting of shared convolutions (TOOD, arXiv 2108.07755).

    EasyCV detectors/yolox/tood_head.py. The shared convolutions are the same ones at every scale.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__(variant)
        width = variant.channels(256)
        self.inter_convs = nn.ModuleList(_ConvGroupNorm(width, width, 3) for _ in range(variant.stacked_convs))
        self.cls_decomps = nn.ModuleList(_TaskDecomposition(variant) for _ in range(3))
        self.reg_decomps = nn.ModuleList(_TaskDecomposition(variant) for _ in range(3))

    def _split(self, scale: int, x: Tensor) -> tuple[Tensor, Tensor]:
        stack = []
        for conv in self.inter_convs:
            x = conv(x)
            stack.append(x)
        stacked = torch.cat(stack, dim=1)
        pooled = functional.adaptive_avg_pool2d(stacked, 1)
        return self.cls_decomps[scale](stacked, pooled), self.reg_decomps[scale](stacked, pooled)


class _TaskDecomposition(nn.Module):
    """Weigh the shared convolutions by what the whole image shows, and reduce them to one feature.

    Upstream scales the weights of the reduction, an image at a time; scaling its input instead is the same sum
    and leaves an ordinary convolution.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.stacked_convs = variant.stacked_convs
        width = variant.channels(256)
        stacked = variant.stacked_convs * width
        self.layer_attention = nn.Sequential(
            nn.Conv2d(stacked, variant.attention_hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(variant.attention_hidden, variant.stacked_convs, 1),
            nn.Sigmoid(),
        )
        self.reduction_conv = _ConvGroupNorm(stacked, width, 1)

    def forward(self, stacked: Tensor, pooled: Tensor) -> Tensor:
        """Compute (N,K*C,H,W) and its mean (N,K*C,1,1) to (N,C,H,W), K the number of shared convolutions."""
        attention = self.layer_attention(pooled).unsqueeze(2)
        weighed = torch.unflatten(stacked, 1, (self.stacked_convs, -1)) * attention
        y: Tensor = self.reduction_conv(weighed.flatten(1, 2))
        return y


class _ConvGroupNorm(nn.Module):
    """Convolution without bias, GroupNorm, ReLU whatever the network's activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.gn = nn.GroupNorm(_GN_GROUPS, out_channels, eps=_GN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,in,H,W) to (N,out,H,W)."""
        return functional.relu(self.gn(self.conv(x)), inplace=True)
