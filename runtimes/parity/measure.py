"""Measuring how two results differ. Figures only: no limit is known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.ops.boxes import iou_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...models.results import Classification, Detections, Landmarks

_PAIR_IOU = 0.5
_PAIR_PIXELS = 1.0


@dataclass(frozen=True)
class TensorStats:
    """How a tensor differs from its reference.

    Attributes:
        max_abs: Largest absolute difference.
        mean_abs: Mean absolute difference.
        p999_abs: 99.9th percentile of the absolute difference.
        max_rel: Largest absolute difference over the reference's largest magnitude.
        cosine: Of the two as vectors.
        finite: Whether both hold finite values only; the figures above are NaN if not.
        reference_std: Standard deviation of the reference.

    """

    max_abs: float
    mean_abs: float
    p999_abs: float
    max_rel: float
    cosine: float
    finite: bool
    reference_std: float


def measure_tensor(reference: NDArray[np.floating], candidate: NDArray[np.floating]) -> TensorStats:
    """Compare two arrays of one shape; computed in float64.

    Raises:
        ValueError: The shapes differ.

    """
    if reference.shape != candidate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {candidate.shape}")
    a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        nan = float("nan")
        return TensorStats(nan, nan, nan, nan, nan, finite=False, reference_std=nan)
    difference = np.abs(a - b)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    largest = float(np.abs(a).max())
    return TensorStats(
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        p999_abs=float(np.quantile(difference, 0.999)),
        max_rel=float(difference.max()) / largest if largest else float(difference.max() > 0),
        cosine=float(a @ b) / norms if norms else float(not difference.any()),
        finite=True,
        reference_std=float(a.std()),
    )


@dataclass(frozen=True)
class Pair:
    """Two detections that are taken for the same one.

    Attributes:
        reference: Index in the reference.
        candidate: Index in the candidate.
        iou: Of their boxes.
        px: Largest difference of a coordinate, in pixels of the image.
        score: Absolute difference of the scores.
        same_label: Whether they agree on the class.
        margin: The smaller of the two leads over the runner-up class.

    """

    reference: int
    candidate: int
    iou: float
    px: float
    score: float
    same_label: bool
    margin: float


@dataclass(frozen=True)
class Matching:
    """Detections of two results, paired one to one, and the indices left over."""

    pairs: tuple[Pair, ...]
    reference_only: tuple[int, ...]
    candidate_only: tuple[int, ...]


def match_detections(reference: Detections, candidate: Detections) -> Matching:
    """Pair detections one to one: the same place, preferably the same label, the closest score.

    Two boxes are in the same place if their IoU is at least 0.5, or no coordinate differs by more than a pixel (a box
    clipped to nothing at the border has no area).
    """
    if not len(reference) or not len(candidate):
        return Matching((), tuple(range(len(reference))), tuple(range(len(candidate))))
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
            margin = min(_margin(reference, i), _margin(candidate, j))
            same = not other_label[i, j]
            pairs.append(Pair(i, j, float(iou[i, j]), float(px[i, j]), float(score[i, j]), same, margin))
    left_i, left_j = (tuple(i for i, free in enumerate(side) if free) for side in (free_i, free_j))
    return Matching(tuple(pairs), left_i, left_j)


def summarise_matching(reference: Detections, candidate: Detections) -> dict[str, Any]:
    """Compare the detections of one picture: how many there are and were paired, and the worst of the pairs."""
    pairs = match_detections(reference, candidate).pairs
    return {
        "reference": len(reference),
        "candidate": len(candidate),
        "matched": len(pairs),
        "max_score": max((pair.score for pair in pairs), default=0.0),
        "mean_score": sum(pair.score for pair in pairs) / max(len(pairs), 1),
        "max_px": max((pair.px for pair in pairs), default=0.0),
        "min_iou": min((pair.iou for pair in pairs), default=1.0),
    }


def measure_landmarks(reference: Landmarks, candidate: Landmarks) -> dict[str, Any]:
    """Compare the points of one picture: distances of each point to its counterpart, in pixels of the picture.

    Returns:
        ``reference`` and ``candidate`` (how many faces), ``mean``, ``max``, ``std``, ``p95`` and ``p99`` of the
        distances, ``under_half`` and ``under_one`` (the shares below 0.5 and 1 px); NaN if the faces are not as many.

    """
    counts = {"reference": len(reference), "candidate": len(candidate)}
    if reference.points.shape != candidate.points.shape or not len(reference):
        distance = np.full(1, np.nan)
    else:
        difference = reference.points.astype(np.float64) - candidate.points
        distance = np.hypot(difference[..., 0], difference[..., 1])
    figures = {
        "mean": distance.mean(),
        "max": distance.max(),
        "std": distance.std(),
        "p95": np.quantile(distance, 0.95),
        "p99": np.quantile(distance, 0.99),
        "under_half": np.mean(distance < 0.5),  # noqa: PLR2004
        "under_one": np.mean(distance < 1),
    }
    return {**counts, **{name: float(value) for name, value in figures.items()}}


def measure_classes(reference: Classification, candidate: Classification) -> dict[str, Any]:
    """Compare the scores of one picture.

    Returns:
        ``top1`` (whether both name the same class), ``max_prob`` and ``mean_prob`` (absolute differences),
        ``cosine`` of the two, and ``margin``, by which the reference's best class leads in it over the candidate's,
        or over its runner-up where they agree.

    """
    a, b = reference.scores.astype(np.float64), candidate.scores.astype(np.float64)
    best, other = reference.order()[0], candidate.order()[0]
    rival = other if other != best else reference.order()[min(1, len(a) - 1)]
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return {
        "top1": reference.label == candidate.label,
        "max_prob": float(np.abs(a - b).max()),
        "mean_prob": float(np.abs(a - b).mean()),
        "cosine": float(a @ b) / norms if norms else float(not (a - b).any()),
        "margin": float(a[best] - a[rival]),
    }


def _margin(detections: Detections, index: int) -> float:
    return float("inf") if detections.margins is None else float(detections.margins[index])
