"""The decoding of NanoDet-Plus' outputs as a part of the network, for files of the form "decoded"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..ops.distribution import MAX_LOGIT
from ..ops.priors import cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .postprocess import PostprocessParams

_SIDES = 4


class Decode(nn.Module):
    """Boxes and scores of all points, level by level, row by row; see `postprocess`.

    Args:
        params: Strides, and where in a cell its point is.

    """

    def __init__(self, params: PostprocessParams) -> None:
        super().__init__()
        self.strides, self.offset = params.strides, params.prior_offset

    def forward(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ``boxes`` (N, P, 4), x1 y1 x2 y2 in network pixels, clipped to the input, and ``scores`` (N, P, C)."""
        height, width = (side * self.strides[0] for side in outputs["cls_score_0"].shape[2:])
        boxes, scores = [], []
        for level, stride in enumerate(self.strides):
            bins = outputs[f"bbox_pred_{level}"]
            points = (cells(bins) + self.offset) * stride
            distances = _expected_distances(bins) * stride
            near, far = points - distances[:, :2], points + distances[:, 2:]
            corners = ((side[:, :1].clamp(0, width), side[:, 1:].clamp(0, height)) for side in (near, far))
            boxes.append(torch.cat([part for corner in corners for part in corner], dim=1).flatten(2))
            scores.append(torch.sigmoid(outputs[f"cls_score_{level}"]).flatten(2))
        return {"boxes": torch.cat(boxes, dim=2).transpose(1, 2), "scores": torch.cat(scores, dim=2).transpose(1, 2)}


def _expected_distances(bins: Tensor) -> Tensor:
    """Return (N, 4, h, w), in strides: left, top, right, bottom; see `ops.distribution.expected_distances`.

    Args:
        bins: (N, 4B, h, w) logits.

    """
    count = bins.shape[1] // _SIDES
    weights = torch.exp(bins.clamp(-float(MAX_LOGIT), float(MAX_LOGIT)))
    weights = weights.reshape(-1, _SIDES, count, *bins.shape[2:])
    numbers = torch.arange(count, dtype=bins.dtype, device=bins.device)[:, None, None]
    return torch.sum(weights * numbers, 2) / torch.sum(weights, 2)
