"""Trains the network: AdamW, a cosine schedule, a running average of the weights, larger pictures towards the end."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cvport.models.yolox.network import YOLOX
from cvport.models.yolox.variant import SIZES, Variant, stage_blocks

from .data import Batch, ScenesOfTraining, collate
from .loss import decode, detection_loss

# YOLOX-nano: Megvii exps/default/yolox_nano.py.
_DEPTH, _WIDTH = SIZES["nano"]
# Share of the pictures, side of the input, and whether the loss has its L1 part (the paper's last epochs).
_PHASES = ((0.65, 256, False), (0.35, 320, True))
FINAL_SIDE = _PHASES[-1][1]

_BATCH = 16
_RATE = 2e-3
_LAST_RATE = 0.02
_WARMUP_STEPS = 300
_DECAY = 5e-4
_LONGEST_GRADIENT = 10.0
# Prior probability of a class or an object at the start (RetinaNet, arXiv 1708.02002, section 4.1).
_PRIOR = 0.01
_AVERAGE = 0.999


@dataclass(frozen=True)
class Progress:
    """How far a training is, for people."""

    step: int
    steps: int
    images_per_second: float
    losses: dict[str, float]

    def __str__(self) -> str:
        parts = "  ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        return f"step {self.step}/{self.steps}  {self.images_per_second:.0f} images/s  {parts}"


def nano(num_classes: int) -> Variant:
    """Return the structure of YOLOX-nano."""
    blocks = stage_blocks("CSPDarknet", _DEPTH)
    return Variant("CSPDarknet", _WIDTH, blocks, 1, num_classes, depthwise=True, conv_type="dwconv")


def train(
    seed: int, images: int, classes: Sequence[str], *, workers: int, report: Callable[[Progress, nn.Module], object]
) -> dict[str, Tensor]:
    """Train YOLOX-nano on scenes.

    Args:
        seed: Of the scenes and of the first weights.
        images: Scenes to see, each once.
        classes: Shapes to tell apart.
        workers: Processes that draw; 0 draws between the steps.
        report: Called every hundred steps, with the averaged network as it is then.

    Returns:
        The averaged weights by key, float32, in eval form.

    """
    torch.manual_seed(seed)
    network = _prepare(YOLOX(nano(len(classes))))
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(_groups(network), lr=_RATE)
    steps = sum(math.ceil(share * images / _BATCH) for share, _, _ in _PHASES)
    began, sums = time.monotonic(), dict[str, float]()
    for step, (batch, l1) in enumerate(_batches(seed, images, classes, workers), 1):
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, steps)
        outputs = network(batch.inputs.contiguous(memory_format=torch.channels_last))
        losses = detection_loss(decode(outputs), batch.boxes, batch.classes, l1=l1)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_GRADIENT)
        optimiser.step()
        _follow(average, network, step)
        sums = {name: sums.get(name, 0.0) + value.item() for name, value in losses.items()}
        if step % 100 == 0:
            speed = step * _BATCH / (time.monotonic() - began)
            report(Progress(step, steps, speed, {name: value / 100 for name, value in sums.items()}), average)
            sums = {}
    return {key: tensor.contiguous() for key, tensor in average.eval().state_dict().items()}


def _prepare(network: YOLOX) -> YOLOX:
    """Set what differs from PyTorch's own start."""
    for branch in (*network.head.cls_preds, *network.head.obj_preds):
        nn.init.constant_(branch.bias, -math.log((1 - _PRIOR) / _PRIOR))
    return network.train().to(memory_format=torch.channels_last)


def _groups(network: nn.Module) -> list[dict[str, object]]:
    """Decay the filters only: a decayed bias or BatchNorm weight costs accuracy."""
    filters = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    return [{"params": filters, "weight_decay": _DECAY}, {"params": others, "weight_decay": 0.0}]


def _batches(seed: int, images: int, classes: Sequence[str], workers: int) -> Iterator[tuple[Batch, bool]]:
    first = 0
    for share, side, l1 in _PHASES:
        count = math.ceil(share * images / _BATCH) * _BATCH
        scenes = ScenesOfTraining(seed, first, count, side, classes)
        for batch in DataLoader(scenes, _BATCH, num_workers=workers, collate_fn=collate, drop_last=True):
            yield batch, l1
        first += count


def _rate(step: int, steps: int) -> float:
    if step < _WARMUP_STEPS:
        return _RATE * step / _WARMUP_STEPS
    share = (step - _WARMUP_STEPS) / max(1, steps - _WARMUP_STEPS)
    return _RATE * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share)))


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, step: int) -> None:
    """Move the running average towards the network; fast at first, when the network is far from its goal."""
    weight = min(_AVERAGE, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - weight)
        else:
            mean.copy_(value)
