"""Scores weights on scenes of seeds and photographs that training never saw; the package runs them as for a user."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cvport
from cvport.runtimes.predictor import Predictor

from .coco import Dataset, box_entry
from .photos import HELD_OUT
from .scenes import Scene, draw_scene, size_of

# COCO's metric ranks the best 100 boxes of a picture, whatever their scores; almost all scores are asked for.
_LOWEST_SCORE = 0.001
_MOST_BOXES = 100
_NOTHING = {"image_id": 1, "score": 0.0, **box_entry((0, 0, 0, 0), 0)}


def held_out_scenes(seed: int, count: int, classes: Sequence[str]) -> Iterator[Scene]:
    """Draw *count* scenes of photographs and seeds that training does not use; 320 to 640 pixels a side."""
    for number in range(count):
        yield draw_scene([seed, number, 1], size_of(seed, number), photos=tuple(HELD_OUT), classes=classes)


def open_model(place: Path) -> Predictor:
    """Return a predictor that leaves nothing out: of an exported file in ONNX Runtime, else of weights in PyTorch."""
    settings = {"score_threshold": _LOWEST_SCORE, "max_detections": _MOST_BOXES}
    if place.suffix == ".onnx":
        return cvport.load(place, backend="onnx", **settings)
    return cvport.load("yolox", backend="torch", weights=place, **settings)


def score(predictor: Predictor, seed: int, count: int) -> dict[str, Any]:
    """Return COCO's mean average precision on held-out scenes.

    Args:
        predictor: See `open_model`; its labels are names of shapes.
        seed: Of the scenes; not that of the training.
        count: Number of scenes.

    Returns:
        ``map`` at IoU 0.5:0.95, ``map_50``, ``map_75``, and ``classes``: the first of each class.

    """
    from faster_coco_eval import COCO, COCOeval_faster

    found: list[dict[str, Any]] = []
    classes = predictor.labels
    truth = Dataset(classes)
    for scene in held_out_scenes(seed, count, classes):
        image_id = truth.add(scene)
        result = predictor(scene.image)
        for box, value, class_id in zip(result.boxes, result.scores, result.class_ids, strict=True):
            found.append({"image_id": image_id, "score": float(value), **box_entry(box, class_id)})
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(truth.to_dict())
        # A network that has learnt nothing may find nothing, which is a score too.
        judge = COCOeval_faster(dataset, dataset.loadRes(found or [_NOTHING]), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    # precision is (IoU, recall, class, area, detections); -1 where a class does not occur.
    precision = judge.eval["precision"][..., 0, -1]
    each = {name: _mean(precision[:, :, index]) for index, name in enumerate(classes)}
    figures = {"map": _mean(precision), "map_50": _mean(precision[0]), "map_75": _mean(precision[5])}
    return {**figures, "classes": each}


def _mean(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return round(float(known.mean()), 4) if known.size else 0.0
