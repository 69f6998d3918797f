"""Where the cells of a level are, in torch."""

from __future__ import annotations

import torch
from torch import Tensor


def cells(level: Tensor) -> Tensor:
    """Return (1, 2, h, w) of the type of *level*, (N, C, h, w): column and row of each cell."""
    height, width = level.shape[2:]
    columns = torch.arange(width, dtype=level.dtype, device=level.device).expand(height, width)
    rows = torch.arange(height, dtype=level.dtype, device=level.device)[:, None].expand(height, width)
    return torch.stack((columns, rows))[None]
