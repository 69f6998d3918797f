"""Classes: a score for each class of an image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.results import Classification
from ..parity.tensors import cosine
from ..parity.verdicts import judge
from .base import Column, Kind
from .text import padded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ...models.spec import ModelSpec
    from ..parity.verdicts import Judgement

# Classes of each result that are shown side by side.
_SHOWN = 10


@dataclass(frozen=True)
class ClassLimit:
    """What the scores of classes may differ by.

    Attributes:
        prob: Largest absolute difference of a score.
        derived: How the limit came about.

    """

    prob: float
    derived: str = ""


@dataclass(frozen=True)
class ClassStats:
    """How the scores of one image differ.

    Attributes:
        top1: Whether both name the same class.
        max_prob: Largest absolute difference of a score.
        mean_prob: Mean absolute difference.
        cosine: Cosine of the angle between the two as vectors.
        margin: The reference's lead of its best class over the candidate's, or over its runner-up where they agree.
        best: The best class of the reference and of the candidate.
        same_names: Whether the classes have the same names in the same order.
        ranks: The best classes of both, rank by rank: label and score of the reference, of the candidate.

    """

    top1: bool
    max_prob: float
    mean_prob: float
    cosine: float
    margin: float
    best: tuple[str, str]
    same_names: bool
    ranks: tuple[tuple[str, float, str, float], ...] = ()

    def figures(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {name: value for name, value in asdict(self).items() if name not in ("best", "same_names", "ranks")}


def measure(
    reference: Classification,
    candidate: Classification,
    _variants: Callable[[], Sequence[Classification]] = lambda: (),
) -> ClassStats:
    """Measure how the scores of one image differ."""
    a, b = reference.scores.astype(np.float64), candidate.scores.astype(np.float64)
    best, other = reference.order()[0], candidate.order()[0]
    rival = other if other != best else reference.order()[min(1, len(a) - 1)]
    return ClassStats(
        top1=reference.label == candidate.label,
        max_prob=float(np.abs(a - b).max()),
        mean_prob=float(np.abs(a - b).mean()),
        cosine=cosine(a, b),
        margin=float(a[best] - a[rival]),
        best=(reference.label, candidate.label),
        same_names=reference.labels == candidate.labels,
        ranks=tuple(
            (reference.labels[i], float(a[i]), candidate.labels[j], float(b[j]))
            for i, j in zip(reference.order()[:_SHOWN], candidate.order()[:_SHOWN], strict=False)
        ),
    )


def judge_classes(stats: ClassStats, limit: ClassLimit) -> Judgement:
    """Judge the class scores of one image: the best class is the same, or the two tie within tolerance."""
    reasons, borderline = [], []
    if not stats.same_names:
        reasons.append("the classes have other names")
    if not stats.max_prob <= limit.prob:
        reasons.append(f"a score differs by {stats.max_prob:.3g}, limit {limit.prob:.3g}")
    flip = f"{stats.best[1]} instead of {stats.best[0]}"
    if not stats.top1 and stats.margin <= 2 * limit.prob:
        borderline.append(f"{flip}: they tie, margin {stats.margin:.2e}")
    elif not stats.top1:
        reasons.append(f"{flip}, by a margin of {stats.margin:.3g}")
    return judge(reasons, borderline)


def _items(stats: ClassStats) -> list[dict[str, Any]]:
    """Return the best classes of both side by side."""
    return [
        {
            "rank": rank,
            "label": label,
            "score": score,
            "other_label": other,
            "other_score": other_score,
            "same": label == other,
            "score_difference": other_score - score,
        }
        for rank, (label, score, other, other_score) in enumerate(stats.ranks, 1)
    ]


def _totals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for all images together how often each rank has the same class, and how scores differ."""
    found = []
    for rank in sorted({row["rank"] for row in rows}):
        own = [row for row in rows if row["rank"] == rank]
        differences = [abs(row["score_difference"]) for row in own]
        found.append(
            {
                "rank": rank,
                "items": len(own),
                "same": sum(bool(row["same"]) for row in own),
                "mean_score_difference": sum(differences) / len(own),
                "max_score_difference": max(differences),
            }
        )
    return found


def _rows(content: dict[str, Any]) -> Iterator[list[Any]]:
    return ([rank, row["label"], row["score"]] for rank, row in enumerate(content["scores"], 1))


def _read(content: Mapping[str, Any], _spec: ModelSpec, labels: Sequence[str]) -> Classification:
    scores = {str(row["label"]): float(row["score"]) for row in content["scores"]}
    names = tuple(labels) if set(labels) == set(scores) else tuple(scores)
    return Classification(np.array([scores[name] for name in names], np.float32), names)


def _describe(content: dict[str, Any], names: Mapping[str, str]) -> tuple[str, list[str]]:
    rows = content["scores"]
    labels = padded([names.get(row["label"], row["label"]) for row in rows])
    best = labels[0].strip() if labels else "no classes"
    return best, [f"  {label}  {row['score']:.3f}" for label, row in zip(labels, rows, strict=True)]


KIND = Kind(
    name="classes",
    limit=ClassLimit,
    usual=ClassLimit(prob=1e-3),
    read=_read,
    measure=measure,
    judge=judge_classes,
    bounds={"prob": "max_prob"},
    table=(
        Column("top-1", "{top1}"),
        Column("mean prob", "{mean_prob:.1e}"),
        Column("max prob", "{max_prob:.1e}", "{prob:.1e}"),
        Column("cosine", "{cosine:.6f}"),
        Column("margin", "{margin:.4f}"),
    ),
    fields=("rank", "label", "score"),
    rows=_rows,
    describe=_describe,
    draw=".drawing:draw_classes",
    draw_in=".drawing:draw_classes_in",
    items=_items,
    totals=_totals,
)
