"""Detections: boxes with labels and scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.ops.boxes import iou_matrix
from ...models.results import Detections
from ..parity.verdicts import Judgement, judge
from .base import Column, Kind, Mark
from .text import counted, numbers, padded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ...models.spec import ModelSpec
    from ..backends.base import Array
    from ..parity.decoder import Decode

_PAIR_IOU = 0.5
_PAIR_PIXELS = 1.0
# Overlaps nearer than this to the suppression threshold may fall on either side of it, whatever the limits.
_IOU_SLACK = 2e-3
# Of the best candidates, so many may change places with those that come after.
_FEW, _MANY = 2, 10


@dataclass(frozen=True)
class DetectionLimit:
    """What matched detections may differ by.

    Attributes:
        score: Absolute difference of scores.
        px: Largest difference of a coordinate, in pixels.
        iou: Smallest IoU.
        mean_score: Mean absolute difference of the scores of one image.
        derived: How the limits came about.

    """

    score: float
    px: float
    iou: float
    mean_score: float
    derived: str = ""


@dataclass(frozen=True)
class Pair:
    """Two detections that are taken for the same one.

    Attributes:
        index: Of the reference's.
        labels: The reference's and the candidate's.
        iou: IoU of their boxes.
        px: Largest difference of a coordinate, in pixels of the image.
        score: Absolute difference of the scores.
        margin: The smaller of the two leads over the runner-up class.
        other: Index of the candidate's.
        scores: The reference's and the candidate's.
        sides: Differences of x1, y1, x2 and y2, candidate less reference, in pixels.

    """

    index: int
    labels: tuple[str, str]
    iou: float
    px: float
    score: float
    margin: float
    other: int = -1
    scores: tuple[float, float] = (math.nan, math.nan)
    sides: tuple[float, ...] = ()


@dataclass(frozen=True)
class Unmatched:
    """A detection that one of two results has alone.

    Attributes:
        label: Class name.
        score: Score.
        only_in: "reference" or "candidate".
        at_threshold: Whether the reference loses or gains it too when a threshold is moved by its tolerance.
        index: Of it in its result.

    """

    label: str
    score: float
    only_in: str
    at_threshold: bool
    index: int = -1


@dataclass(frozen=True)
class DetectionStats:
    """How the detections of one image differ.

    Attributes:
        reference: Number of detections of the reference.
        candidate: Number of detections of the candidate.
        pairs: Those that are paired, one to one.
        unmatched: Those that are not.

    """

    reference: int
    candidate: int
    pairs: tuple[Pair, ...]
    unmatched: tuple[Unmatched, ...]

    @property
    def mean_score(self) -> float:
        """Mean absolute difference of the paired scores."""
        return sum(pair.score for pair in self.pairs) / max(len(self.pairs), 1)

    def figures(self) -> dict[str, Any]:
        """Return how many there are and were paired, and the worst of the pairs."""
        return {
            "reference": self.reference,
            "candidate": self.candidate,
            "matched": len(self.pairs),
            "max_score": max((pair.score for pair in self.pairs), default=0.0),
            "mean_score": self.mean_score,
            "max_px": max((pair.px for pair in self.pairs), default=0.0),
            "min_iou": min((pair.iou for pair in self.pairs), default=1.0),
        }


def measure(
    reference: Detections, candidate: Detections, variants: Callable[[], Sequence[Detections]] = lambda: ()
) -> DetectionStats:
    """Pair the detections of one image and measure how each pair differs.

    Args:
        reference: Taken for right.
        candidate: The other.
        variants: Gives the reference decoded again with thresholds moved by their tolerance, up and down.

    """
    pairs, lost, won = _match(reference, candidate)
    moved = variants() if lost or won else ()
    loses = {i for variant in moved for i in _match(reference, variant)[1]}
    gains = {pair.index for variant in moved for pair in _match(candidate, variant)[0]}
    unmatched = [
        *(Unmatched(reference.labels[i], float(reference.scores[i]), "reference", i in loses, i) for i in lost),
        *(Unmatched(candidate.labels[i], float(candidate.scores[i]), "candidate", i in gains, i) for i in won),
    ]
    return DetectionStats(len(reference), len(candidate), tuple(pairs), tuple(unmatched))


def _match(reference: Detections, candidate: Detections) -> tuple[list[Pair], list[int], list[int]]:
    """Pair detections one to one: the same place, preferably the same label, the closest score.

    Two boxes are in the same place if their IoU is at least 0.5, or no coordinate differs by more than a pixel (a box
    clipped to nothing at the border has no area).

    Returns:
        The pairs, and the indices that are left over of either.

    """
    if not len(reference) or not len(candidate):
        return [], list(range(len(reference))), list(range(len(candidate)))
    iou = iou_matrix(reference.boxes, candidate.boxes)
    px = np.abs(reference.boxes[:, None] - candidate.boxes[None]).max(axis=2)
    score = np.abs(reference.scores[:, None] - candidate.scores[None])
    iou = np.where(px <= _PAIR_PIXELS, np.maximum(iou, 1 - px), iou)
    other_label = np.array(reference.labels)[:, None] != np.array(candidate.labels)[None]
    # Labels first: a wrong one is worse than any difference of place and score, which are below 1 each.
    cost = (1 - iou) + score + 2.0 * other_label
    cost[(iou < _PAIR_IOU) & (px > _PAIR_PIXELS)] = np.inf
    pairs: list[Pair] = []
    free_i, free_j = [True] * cost.shape[0], [True] * cost.shape[1]
    for flat in np.argsort(cost, axis=None, kind="stable").tolist():
        i, j = divmod(flat, cost.shape[1])
        if len(pairs) == min(cost.shape) or cost[i, j] == np.inf:
            break
        if free_i[i] and free_j[j]:
            free_i[i] = free_j[j] = False
            labels = reference.labels[i], candidate.labels[j]
            margin = min(_margin(reference, i), _margin(candidate, j))
            scores = float(reference.scores[i]), float(candidate.scores[j])
            sides = tuple((candidate.boxes[j] - reference.boxes[i]).tolist())
            figures = float(iou[i, j]), float(px[i, j]), float(score[i, j])
            pairs.append(Pair(i, labels, *figures, margin, j, scores, sides))
    left_i, left_j = ([i for i, free in enumerate(side) if free] for side in (free_i, free_j))
    return pairs, left_i, left_j


def _margin(detections: Detections, index: int) -> float:
    return float("inf") if detections.margins is None else float(detections.margins[index])


def judge_detections(stats: DetectionStats, limit: DetectionLimit) -> Judgement:
    """Judge the detections of one image.

    What one result alone has is borderline, not a failure, where a threshold moved by its tolerance does the same; so
    are two labels whose scores tie.
    """
    reasons: list[str] = []
    borderline: list[str] = []
    for pair in stats.pairs:
        label, other = pair.labels
        place = f"detection {pair.index} ({label})"
        if label != other and pair.margin <= 2 * limit.score:
            borderline.append(f"{place}: labels tie, margin {pair.margin:.2e}")
        elif label != other:
            reasons.append(f"{place}: label {other}, by a margin of {pair.margin:.3g}")
        if not pair.score <= limit.score:
            reasons.append(f"{place}: score differs by {pair.score:.3g}, limit {limit.score:.3g}")
        if not pair.px <= limit.px:
            reasons.append(f"{place}: box differs by {pair.px:.3g} px, limit {limit.px:.3g}")
        if not pair.iou >= limit.iou:
            reasons.append(f"{place}: IoU {pair.iou:.6f}, limit {limit.iou:.6f}")
    if not stats.mean_score <= limit.mean_score:
        reasons.append(f"scores differ by {stats.mean_score:.3g} in the mean, limit {limit.mean_score:.3g}")
    for alone in stats.unmatched:
        text = f"{alone.label} {alone.score:.5f} only in the {alone.only_in}"
        (borderline if alone.at_threshold else reasons).append(text)
    return judge(reasons, borderline)


def _vary(
    decode: Decode,
    outputs: Mapping[str, Array],
    best: int | None,
    params: Any,  # noqa: ANN401
    limit: DetectionLimit,
) -> list[Detections]:
    """Return the reference's detections with each threshold moved by its tolerance, up and down."""
    variants = []
    slack = max(_IOU_SLACK, (1 - limit.iou) / 10)
    # Which candidates are the best hundred is a threshold too: as many as are about as good as the last may change.
    scores = decode(outputs, best=best).scores
    near = int((scores <= scores.min(initial=1.0) + 2 * limit.score).sum())
    for sign in (-1, 1):
        count = None if best is None else best + sign * min(max(near, _FEW), _MANY)
        score = min(max(params.score_threshold + sign * 2 * limit.score, 0.0), 1.0)
        iou = min(max(params.iou_threshold + sign * slack, 0.0), 1.0)
        variants += [decode(outputs, best=count, score_threshold=score), decode(outputs, best=best, iou_threshold=iou)]
    return variants


def _items(stats: DetectionStats) -> list[dict[str, Any]]:
    """Return a row for each pair, the largest difference of scores first, then for what one has alone."""
    rows: list[dict[str, Any]] = []
    for pair in sorted(stats.pairs, key=lambda pair: -pair.score):
        label, other = pair.labels
        score, other_score = pair.scores
        sides = dict(zip(("dx1", "dy1", "dx2", "dy2"), pair.sides, strict=False))
        scores = {"score": score, "other_score": other_score, "score_difference": other_score - score}
        rows.append({"label": label, "other_label": other, "same": label == other, **scores, "iou": pair.iou, **sides})
    for alone in stats.unmatched:
        mine = alone.only_in == "reference"
        rows.append(
            {
                "label": alone.label if mine else "",
                "other_label": "" if mine else alone.label,
                "same": False,
                "score" if mine else "other_score": alone.score,
            }
        )
    return rows


def _totals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each class, then for all, how many were paired and the mean and the largest differences."""
    labels = sorted({str(row["label"] or row["other_label"]) for row in rows})
    chosen = {label: [row for row in rows if label in (row["label"], row["other_label"])] for label in labels}
    found = []
    for label, own in [*chosen.items(), ("*", list(rows))] if len(labels) > 1 else chosen.items():
        pairs = [row for row in own if "iou" in row]
        scores = [abs(row["score_difference"]) for row in pairs] or [math.nan]
        sides = [abs(row[name]) for row in pairs for name in ("dx1", "dy1", "dx2", "dy2") if name in row] or [math.nan]
        found.append(
            {
                "label": label,
                "items": len(own),
                "same": sum(bool(row["same"]) for row in own),
                "mean_score_difference": sum(scores) / len(scores),
                "max_score_difference": max(scores),
                "mean_px": sum(sides) / len(sides),
                "max_px": max(sides),
                "min_iou": min((row["iou"] for row in pairs), default=math.nan),
            }
        )
    return found


def _marks(
    reference: Detections, candidate: Detections, stats: DetectionStats
) -> list[tuple[Mark | None, Mark | None]]:
    """Return the boxes, pair by pair."""
    pairs: list[tuple[Mark | None, Mark | None]] = [
        (_mark(reference, pair.index), _mark(candidate, pair.other)) for pair in stats.pairs
    ]
    for alone in stats.unmatched:
        mine = alone.only_in == "reference"
        mark = _mark(reference if mine else candidate, alone.index)
        pairs.append((mark, None) if mine else (None, mark))
    return pairs


def _mark(found: Detections, index: int) -> Mark:
    x1, y1, x2, y2 = found.boxes[index]
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)
    return Mark(corners, outline=True, label=found.labels[index])


def _rows(content: dict[str, Any]) -> Iterator[list[Any]]:
    return ([row["label"], row["class_id"], row["score"], *row["box"]] for row in content["detections"])


def _read(content: Mapping[str, Any], _spec: ModelSpec, _labels: Sequence[str]) -> Detections:
    rows = content["detections"]
    if not all(type(row["class_id"]) is int and isinstance(row["score"], int | float) for row in rows):
        raise TypeError("a class_id is no whole number, or a score is no number")
    return Detections(
        np.array([row["box"] for row in rows], np.float32).reshape(len(rows), 4),
        np.array([row["score"] for row in rows], np.float32),
        np.array([row["class_id"] for row in rows], np.int64),
        tuple(str(row["label"]) for row in rows),
    )


def coco_box(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    """Return a box as COCO has it: x, y, width, height; and its area."""
    width, height = round(x2 - x1, 3), round(y2 - y1, 3)
    return {"bbox": [x1, y1, width, height], "area": round(width * height, 3)}


def _annotations(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in content["detections"]:
        yield {"category_id": row["class_id"], **coco_box(*row["box"]), "score": row["score"]}


def _describe(content: dict[str, Any], names: Mapping[str, str]) -> tuple[str, list[str]]:
    rows = content["detections"]
    labels = padded([names.get(row["label"], row["label"]) for row in rows])
    return counted(len(rows), "detection"), [
        f"  {label}  {row['score']:.3f}  {numbers(row['box'])}" for label, row in zip(labels, rows, strict=True)
    ]


KIND = Kind(
    name="detections",
    limit=DetectionLimit,
    usual=DetectionLimit(score=1e-3, px=0.5, iou=0.95, mean_score=1e-3),
    read=_read,
    stored="..stored:StoredBoxes",
    vary=_vary,
    measure=measure,
    judge=judge_detections,
    bounds={"score": "max_score", "px": "max_px", "iou": "min_iou", "mean_score": "mean_score"},
    table=(
        Column("matched", "{matched}/{reference}"),
        Column("score", "{max_score:.1e}", "{score:.1e}"),
        Column("px", "{max_px:.1e}", "{px:.1e}"),
        Column("IoU", "{min_iou:.6f}", "{iou:.6f}"),
    ),
    fields=("label", "class_id", "score", "x1", "y1", "x2", "y2"),
    rows=_rows,
    describe=_describe,
    draw=".drawing:draw_detections",
    annotations=_annotations,
    boxes=lambda result: result.boxes,
    shift=lambda result, offset: replace(result, boxes=result.boxes + np.array(offset * 2, np.float32)),
    items=_items,
    totals=_totals,
    marks=_marks,
    selects_classes=True,
)
