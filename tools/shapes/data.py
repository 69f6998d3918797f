"""Scenes as what the network is trained on: preprocessed by the package's own code, mirrored, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cvport.models.yolox.preprocess import params_for, preprocess

from .photos import TRAINING
from .scenes import Scene, draw_scene

# The convention of the weights, sealed in every file that is exported from them.
CONVENTION = "easycv"


@dataclass(frozen=True)
class Batch:
    """Inputs (N, 3, S, S) float32, and for each picture its boxes (G, 4) in pixels of the input and class ids (G,)."""

    inputs: Tensor
    boxes: list[Tensor]
    classes: list[Tensor]


class ScenesOfTraining(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Scene *i* of a seed; each has its own shape of picture, so that padding is learnt too."""

    def __init__(self, seed: int, first: int, count: int, side: int, classes: Sequence[str]) -> None:
        self.seed, self.first, self.count, self.side, self.classes = seed, first, count, side, tuple(classes)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        cv2.setNumThreads(1)
        if index >= self.count:
            raise IndexError(index)
        number = self.first + index
        rng = np.random.default_rng([self.seed, number, 0])
        short = int(self.side * rng.choice([1.0, rng.uniform(0.5, 1.0)]))
        size = (short, self.side) if rng.random() < 0.5 else (self.side, short)
        scene = draw_scene([self.seed, number, 1], size, photos=tuple(TRAINING), classes=self.classes)
        return as_tensors(scene, self.side)


def as_tensors(scene: Scene, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a scene as input (3, S, S), boxes (G, 4) in pixels of the input and class ids (G,)."""
    inputs, transform = preprocess(scene.image, params_for(CONVENTION, (side, side)))
    return (
        torch.from_numpy(inputs),
        torch.from_numpy(scene.boxes * np.float32(transform.scale)),
        torch.from_numpy(scene.class_ids),
    )


def collate(items: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    """Put single pictures into a batch."""
    return Batch(torch.stack([item[0] for item in items]), [item[1] for item in items], [item[2] for item in items])
