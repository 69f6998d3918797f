"""The loss of YOLOX (arXiv 2107.08430).

SimOTA decides which cells answer for a box; the loss is made of their overlaps and of cross entropies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cvport.models.yolox.postprocess import PostprocessParams

# Those of the network's outputs, finest first.
STRIDES = PostprocessParams().strides
# The paper's and Megvii's numbers: a cell may answer for a box when it lies within so many strides of its middle; so
# many of the best overlaps say how many cells answer; weights of the assignment's cost and of the loss.
_RADIUS = 1.5
_CANDIDATES = 10
_IOU_COST = 3.0
_IOU_WEIGHT = 5.0
_OUTSIDE = 1e5
_TINY = 1e-8


@dataclass(frozen=True)
class Predictions:
    """What the network says of all cells A of a batch, finest stride first.

    Attributes:
        boxes: (N, A, 4), x1 y1 x2 y2 in pixels of the input.
        raw: (N, A, 4), the same before decoding: centre offsets and logarithms of the size in strides.
        objectness: (N, A) logits.
        classes: (N, A, C) logits.
        corners: (A, 2), x y of each cell's corner in pixels.
        strides: (A,) pixels.

    """

    boxes: Tensor
    raw: Tensor
    objectness: Tensor
    classes: Tensor
    corners: Tensor
    strides: Tensor


def decode(outputs: Mapping[str, Tensor]) -> Predictions:
    """Collect the nine outputs of the network, see `cvport.models.yolox.network.YOLOX.forward`."""
    flat = {
        kind: torch.cat([outputs[f"{kind}_{level}"].float().flatten(2) for level in range(len(STRIDES))], dim=2).mT
        for kind in ("cls", "reg", "obj")
    }
    corners, strides = [], []
    for level, stride in enumerate(STRIDES):
        height, width = outputs[f"obj_{level}"].shape[2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        corners.append(torch.stack([columns, rows], dim=-1).reshape(-1, 2) * stride)
        strides.append(torch.full((height * width,), stride))
    corner, stride_of = torch.cat(corners).float(), torch.cat(strides).float()
    centre = corner + flat["reg"][..., :2] * stride_of[:, None]
    half = flat["reg"][..., 2:].clamp(max=8).exp() * stride_of[:, None] / 2
    boxes = torch.cat([centre - half, centre + half], dim=-1)
    return Predictions(boxes, flat["reg"], flat["obj"][..., 0], flat["cls"], corner, stride_of)


def detection_loss(
    predictions: Predictions, boxes: Sequence[Tensor], classes: Sequence[Tensor], *, l1: bool
) -> dict[str, Tensor]:
    """Return the parts of the loss, each divided by the number of cells that answer for a box.

    Args:
        predictions: Of N images.
        boxes: For each image (G, 4), x1 y1 x2 y2 in pixels of the input.
        classes: For each image (G,) int64.
        l1: Also the distance of the raw predictions, as in the last epochs of the paper.

    """
    foreground = torch.zeros_like(predictions.objectness)
    parts = {name: predictions.raw.sum() * 0 for name in ("iou", "class", "l1")}
    count = 0
    for row, (truth, ids) in enumerate(zip(boxes, classes, strict=True)):
        if not len(truth):
            continue
        cells, owner, overlap = assign(predictions, row, truth, ids)
        foreground[row, cells] = 1.0
        count += len(cells)
        matched = paired_iou(predictions.boxes[row, cells], truth[owner])
        parts["iou"] = parts["iou"] + (1 - matched**2).sum()
        wanted = functional.one_hot(ids[owner], predictions.classes.shape[-1]) * overlap[:, None]
        parts["class"] = parts["class"] + functional.binary_cross_entropy_with_logits(
            predictions.classes[row, cells], wanted, reduction="sum"
        )
        if l1:
            goal = _encode(truth[owner], predictions.corners[cells], predictions.strides[cells])
            parts["l1"] = parts["l1"] + (predictions.raw[row, cells] - goal).abs().sum()
    parts["objectness"] = functional.binary_cross_entropy_with_logits(
        predictions.objectness, foreground, reduction="sum"
    )
    parts["iou"] = _IOU_WEIGHT * parts["iou"]
    return {name: part / max(count, 1) for name, part in parts.items()}


@torch.no_grad()
def assign(predictions: Predictions, row: int, truth: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decide which cells answer for which box of one image (SimOTA, section 2.1 of the paper).

    Returns:
        The cells (F,), the box (F,) of each, and how much its prediction overlaps that box (F,).

    """
    middle = predictions.corners + predictions.strides[:, None] / 2
    centre = (truth[:, :2] + truth[:, 2:]) / 2
    reach = _RADIUS * predictions.strides[None, :, None]
    near = ((middle[None] - centre[:, None]).abs() < reach).all(dim=-1)
    cells = near.any(dim=0).nonzero()[:, 0]
    near = near[:, cells]
    overlap = pairwise_iou(truth, predictions.boxes[row, cells])
    joint = (predictions.classes[row, cells].sigmoid() * predictions.objectness[row, cells, None].sigmoid()).sqrt()
    wanted = functional.one_hot(ids, joint.shape[-1]).float()
    pair = (len(truth), len(cells), joint.shape[-1])
    class_cost = functional.binary_cross_entropy(
        joint[None].expand(pair), wanted[:, None].expand(pair), reduction="none"
    ).sum(-1)
    cost = class_cost - _IOU_COST * (overlap + _TINY).log() + _OUTSIDE * ~near
    answers = torch.zeros_like(cost, dtype=torch.bool)
    best = overlap.topk(min(_CANDIDATES, len(cells)), dim=1).values.sum(dim=1)
    for box, amount in enumerate(best.int().clamp(min=1).tolist()):
        answers[box, cost[box].topk(min(amount, len(cells)), largest=False).indices] = True
    # A cell that two boxes want goes to the one where it costs less.
    contested = answers.sum(dim=0) > 1
    answers[:, contested] = functional.one_hot(cost[:, contested].argmin(dim=0), len(truth)).T.bool()
    chosen = (answers & near).any(dim=0)
    owner = (answers & near)[:, chosen].int().argmax(dim=0)
    return cells[chosen], owner, overlap[owner, chosen.nonzero()[:, 0]]


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the (A, B) overlaps of (A, 4) and (B, 4) boxes, x1 y1 x2 y2."""
    return paired_iou(first[:, None], second[None])


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of each box of *first* with the same of *second*, both (..., 4), x1 y1 x2 y2."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(dim=-1) for box in (first, second)]
    return shared / (areas[0] + areas[1] - shared + _TINY)


def _encode(truth: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
    centre = (truth[:, :2] + truth[:, 2:]) / 2
    size = truth[:, 2:] - truth[:, :2]
    return torch.cat([(centre - corners) / strides[:, None], (size / strides[:, None] + _TINY).log()], dim=1)
