"""The decoding of YOLOX's outputs as a part of the network, for files of the form "decoded"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..ops.priors import cells
from .postprocess import MAX_LOG_SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .postprocess import PostprocessParams


class Decode(nn.Module):
    """Boxes and scores of all cells, level by level, row by row; see `postprocess`.

    Args:
        params: Strides and activation.

    """

    def __init__(self, params: PostprocessParams) -> None:
        super().__init__()
        self.strides = params.strides
        self.activation = nn.Sigmoid() if params.activation == "sigmoid" else nn.Identity()

    def forward(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ``boxes`` (N, B, 4), x1 y1 x2 y2 in network pixels, and ``scores`` (N, B, C)."""
        boxes, scores = [], []
        for level, stride in enumerate(self.strides):
            classes, regression, objectness = (outputs[f"{name}_{level}"] for name in ("cls", "reg", "obj"))
            centre = (regression[:, :2] + cells(regression)) * stride
            half = torch.exp(torch.clamp(regression[:, 2:], max=float(MAX_LOG_SIDE))) * (0.5 * stride)
            boxes.append(torch.cat((centre - half, centre + half), dim=1).flatten(2))
            scores.append((self.activation(objectness) * self.activation(classes)).flatten(2))
        return {"boxes": torch.cat(boxes, dim=2).transpose(1, 2), "scores": torch.cat(scores, dim=2).transpose(1, 2)}
