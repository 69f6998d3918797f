"""Detections against boxes that somebody drew: COCO's average precision and recall.

The metric is that of cocodataset.org, detection evaluation; the libraries that compute it are faster-coco-eval and
pycocotools, whichever is installed.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import InputError, UsageError, did_you_mean
from ...models.lazy import resolve
from ..arguments import ids_named
from .base import Evaluation, Figure, Score, Truth
from .coco_file import read_coco
from .matching import list_images, match, some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ...models.results import Detections
    from .base import Request
    from .coco_file import CocoFile, Id, TruthBox

# Modules of the dataset and of the metric, the faster first.
_LIBRARIES = (
    ("faster_coco_eval:COCO", "faster_coco_eval:COCOeval_faster"),
    ("pycocotools.coco:COCO", "pycocotools.cocoeval:COCOeval"),
)
# Where the metric's arrays have what: precision (IoU, recall, class, area, boxes), recall (IoU, class, area, boxes).
_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_BEST_1, _BEST_10, _BEST_100 = range(3)


class _Classes(NamedTuple):
    """The class id of each category that is evaluated, and what was assumed."""

    ids: dict[Id, int]
    notes: list[str]


def read(request: Request) -> Truth:
    """Read a COCO dataset and find its images.

    Raises:
        UsageError: No annotations were given, or no library that computes the metric is installed.
        InputError: The dataset cannot be used, or does not fit the model or the images.

    """
    _library()
    if request.annotations is None:
        raise UsageError(
            f"{request.spec.name} gives detections, and needs boxes to compare them with",
            "Give a COCO dataset: --annotations FILE.json",
        )
    dataset = read_coco(request.annotations)
    classes = _classes(dataset, request)
    images = list_images(request.words, request.sources)
    matched = match(list(dataset.images), images.items)
    answers = {
        item.name: [
            box._replace(category=classes.ids[box.category])
            for box in dataset.images[name]
            if box.category in classes.ids
        ]
        for name, item in matched.items.items()
    }
    return Truth(
        items=list(matched.items.values()),
        answers=answers,
        labels={number: request.labels[number] for number in sorted(set(classes.ids.values()))},
        failures=[*images.failures, *matched.failures],
        missing=len(matched.failures),
        skipped=matched.skipped,
        notes=[*images.notes, *classes.notes],
        sizes={item.name: dataset.sizes[name] for name, item in matched.items.items() if name in dataset.sizes},
    )


def _classes(dataset: CocoFile, request: Request) -> _Classes:
    """Return which class of the model each category is, of those that are evaluated.

    Raises:
        InputError: A category is none of the classes.

    """
    ids, notes = _by_name_or_order(dataset, request)
    chosen = range(len(request.labels)) if request.classes is None else request.classes
    ids = {key: number for key, number in ids.items() if number in chosen}
    if not dataset.used & set(ids):
        raise InputError("no box of the annotations is of the chosen classes", "Choose others with --classes.")
    left_out = [name for key, name in dataset.categories.items() if key not in ids]
    if left_out:
        notes.append(f"categories left out: {some(left_out)}")
    without = [request.labels[number] for number in chosen if number not in ids.values()]
    if without:
        notes.append(f"classes that the annotations lack, not evaluated: {some(without)}")
    return _Classes(ids, notes)


def _by_name_or_order(dataset: CocoFile, request: Request) -> _Classes:
    """Return the class of each category: by its name, else by its place. One that no box is of may have none."""
    labels = request.labels
    named = {key: ids_named(name, labels, request.spec.translations) for key, name in dataset.categories.items()}
    ids = {key: found[0] for key, found in named.items() if found}
    unknown = [name for key, name in dataset.categories.items() if key in dataset.used and key not in ids]
    if not unknown:
        return _Classes(ids, [])
    ordered = _by_order(dataset, len(labels))
    if ordered and all(ordered.get(key) == number for key, number in ids.items()):
        pairs = [f"{dataset.categories[key]} = {labels[number]}" for key, number in ordered.items()]
        return _Classes(ordered, [f"categories are taken for the model's classes in their order: {some(pairs)}"])
    if request.classes is None:
        raise _unknown(unknown, labels)
    return _Classes(ids, [])


def _by_order(dataset: CocoFile, count: int) -> dict[Id, int]:
    """Return the categories numbered by ascending id, where there are *count* with or without those that no box is of.

    Some tools list a parent of all categories as one of them.
    """
    for keys in (list(dataset.categories), [key for key in dataset.categories if key in dataset.used]):
        if len(keys) == count:
            return {key: number for number, key in enumerate(keys)}
    return {}


def _unknown(names: Sequence[str], labels: Sequence[str]) -> InputError:
    near = did_you_mean(names[0], labels) if len(labels) > 1 else f"The model has one class: {labels[0]}."
    return InputError(
        f"the model has no class for the categories {some(names)}",
        f"{near} --classes A,B evaluates some classes alone.",
    )


def score(truth: Truth, results: Mapping[str, Detections]) -> Score:
    """Compute COCO's figures over the images that have a result.

    Per class: ``truth`` (boxes that are no crowd), ``ap``, ``ap_50``, ``ap_75``, ``ar``.
    """
    names = [item.name for item in truth.items if item.name in results]
    precision, recall = _arrays(truth, results, names)
    figures = {
        "map": _mean(precision[..., _ALL, _BEST_100]),
        "map_50": _mean(precision[_IOU_50, ..., _ALL, _BEST_100]),
        "map_75": _mean(precision[_IOU_75, ..., _ALL, _BEST_100]),
        "map_small": _mean(precision[..., _SMALL, _BEST_100]),
        "map_medium": _mean(precision[..., _MEDIUM, _BEST_100]),
        "map_large": _mean(precision[..., _LARGE, _BEST_100]),
        "ar_1": _mean(recall[..., _ALL, _BEST_1]),
        "ar_10": _mean(recall[..., _ALL, _BEST_10]),
        "ar_100": _mean(recall[..., _ALL, _BEST_100]),
        "ar_small": _mean(recall[..., _SMALL, _BEST_100]),
        "ar_medium": _mean(recall[..., _MEDIUM, _BEST_100]),
        "ar_large": _mean(recall[..., _LARGE, _BEST_100]),
    }
    counts = dict.fromkeys(truth.labels, 0)
    for name in names:
        for box in truth.answers[name]:
            counts[box.category] += not box.crowd
    rows = [
        {
            "label": label,
            "truth": counts[number],
            "ap": _mean(precision[:, :, index, _ALL, _BEST_100]),
            "ap_50": _mean(precision[_IOU_50, :, index, _ALL, _BEST_100]),
            "ap_75": _mean(precision[_IOU_75, :, index, _ALL, _BEST_100]),
            "ar": _mean(recall[:, index, _ALL, _BEST_100]),
        }
        for index, (number, label) in enumerate(truth.labels.items())
    ]
    return Score(figures, rows)


def _library() -> tuple[Any, Any]:
    """Return the classes of the dataset and of the metric."""
    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)  # it tells every step
    for names in _LIBRARIES:
        with contextlib.suppress(ImportError):
            return resolve(names[0], ""), resolve(names[1], "")
    raise UsageError(
        "COCO's metric needs faster-coco-eval or pycocotools, neither is installed",
        "Install them: pip install 'cvport[eval]'",
    )


def _arrays(
    truth: Truth, results: Mapping[str, Detections], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision (10, 101, K, 4, 3) and recall (10, K, 4, 3); -1 where a class has no box."""
    dataset_type, metric_type = _library()
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, name in enumerate(names, 1):
        annotations += [_truth_entry(image, box) for box in truth.answers[name]]
        found += _found_entries(image, results[name])
    for rows in (annotations, found):
        for number, row in enumerate(rows, 1):  # the metric takes the id 0 for none
            row["id"] = number
    shared = {
        "images": [{"id": image} for image in range(1, len(names) + 1)],
        "categories": [{"id": number, "name": label} for number, label in truth.labels.items()],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        datasets = [dataset_type(), dataset_type()]
        for dataset, rows in zip(datasets, (annotations, found), strict=True):
            dataset.dataset = {**shared, "annotations": rows}
            dataset.createIndex()
        metric = metric_type(*datasets, "bbox")
        metric.evaluate()
        metric.accumulate()
    return np.asarray(metric.eval["precision"]), np.asarray(metric.eval["recall"])


def _truth_entry(image: int, box: TruthBox) -> dict[str, Any]:
    place = {"image_id": image, "category_id": box.category, "bbox": list(box.box)}
    return {**place, "area": box.area, "iscrowd": int(box.crowd)}


def _found_entries(image: int, result: Detections) -> list[dict[str, Any]]:
    boxes = result.boxes.astype(np.float64)
    sizes = boxes[:, 2:] - boxes[:, :2]
    rows = zip(boxes.tolist(), sizes.tolist(), result.scores.tolist(), result.class_ids.tolist(), strict=True)
    return [
        {
            "image_id": image,
            "category_id": number,
            "bbox": [*box[:2], *size],
            "area": size[0] * size[1],
            "iscrowd": 0,
            "score": value,
        }
        for box, size, value, number in rows
    ]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return round(float(known.mean()), 6) if known.size else None


EVALUATION = Evaluation(
    read=read,
    score=score,
    figures=(
        Figure("map", "mAP"),
        Figure("map_50", "mAP@.50IOU"),
        Figure("map_75", "mAP@.75IOU"),
        Figure("map_small", "mAP (small)"),
        Figure("map_medium", "mAP (medium)"),
        Figure("map_large", "mAP (large)"),
        Figure("ar_1", "AR@1"),
        Figure("ar_10", "AR@10"),
        Figure("ar_100", "AR@100"),
        Figure("ar_small", "AR@100 (small)"),
        Figure("ar_medium", "AR@100 (medium)"),
        Figure("ar_large", "AR@100 (large)"),
    ),
    columns=(
        Figure("label", "class", "{}"),
        Figure("truth", "boxes", "{}"),
        Figure("ap", "AP"),
        Figure("ap_50", "AP@.50IOU"),
        Figure("ap_75", "AP@.75IOU"),
        Figure("ar", "AR@100"),
    ),
    # The score is that of Megvii YOLOX, README.md, Evaluation; the metric ranks the best 100 boxes of an image.
    settings={"score_threshold": 0.001, "max_detections": 100},
    told=("score_threshold", "iou_threshold", "class_agnostic", "max_detections"),
)
