"""The YOLOX network in PyTorch: every published size and every YOLOX-PAI variant from one definition."""

from __future__ import annotations

from torch import Tensor, nn

from .head import TOODHead, YOLOXHead
from .neck import PAFPN
from .variant import Variant


class YOLOX(nn.Module):
    """Backbone, neck and head of a variant; keys and shapes of its state dict are those of the checkpoints."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.backbone = PAFPN(variant)
        self.head = TOODHead(variant) if variant.head == "TOODHead" else YOLOXHead(variant)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the raw predictions.

        Args:
            x: (N,3,H,W) float32, preprocessed; H and W are multiples of 32.

        Returns:
            For i = 0, 1, 2, strides s = 8, 16, 32: ``cls_i`` (N,C,H/s,W/s) and ``obj_i`` (N,1,H/s,W/s), logits before
            the sigmoid, and ``reg_i`` (N,4,H/s,W/s), centre offsets and logarithms of the size in units of s; in the
            order cls_0, reg_0, obj_0, cls_1 ...

        """
        outputs: dict[str, Tensor] = self.head(self.backbone(x))
        return outputs
