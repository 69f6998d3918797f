"""Landmarks: the points of faces."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.lazy import resolve
from ...models.results import Landmarks
from ..parity.verdicts import Judgement, judge
from .base import Column, Kind, Mark
from .detections import coco_box
from .text import counted, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ...models.results import Skeleton
    from ...models.spec import ModelSpec

# What COCO's keypoints call labelled and visible.
_VISIBLE = 2


@dataclass(frozen=True)
class LandmarkLimit:
    """What points may differ by.

    Attributes:
        px: Largest distance of a point to its counterpart, in pixels.
        mean_px: Mean distance in one image.
        derived: How the limits came about.

    """

    px: float
    mean_px: float
    derived: str = ""


@dataclass(frozen=True)
class LandmarkStats:
    """How the points of one image differ: distances to their counterparts, in pixels of the image.

    Attributes:
        reference: Number of faces of the reference.
        candidate: Number of faces of the candidate. Where they differ, the figures below are NaN.
        mean: Mean distance.
        max: Largest distance.
        std: Standard deviation of the distances.
        p95: 95th percentile.
        p99: 99th percentile.
        under_half: Share of the distances below 0.5 px.
        under_one: Share of the distances below 1 px.
        differences: (F, P, 2) candidate less reference; None where there is another number of faces.

    """

    reference: int
    candidate: int
    mean: float
    max: float
    std: float
    p95: float
    p99: float
    under_half: float
    under_one: float
    differences: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def figures(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "differences"}


def measure(
    reference: Landmarks, candidate: Landmarks, _variants: Callable[[], Sequence[Landmarks]] = lambda: ()
) -> LandmarkStats:
    """Measure the distance of each point to its counterpart."""
    differences = None
    distance = np.full(1, np.nan)
    if reference.points.shape == candidate.points.shape and len(reference):
        differences = (candidate.points - reference.points).astype(np.float64)
        distance = np.hypot(differences[..., 0], differences[..., 1])
    return LandmarkStats(len(reference), len(candidate), **_spread(distance), differences=differences)


def _spread(distance: NDArray[np.float64]) -> dict[str, float]:
    """Return how distances are spread: the figures of the original deployment."""
    return {
        "mean": float(distance.mean()),
        "max": float(distance.max()),
        "std": float(distance.std()),
        "p95": float(np.quantile(distance, 0.95)),
        "p99": float(np.quantile(distance, 0.99)),
        "under_half": float(np.mean(distance < 0.5)),  # noqa: PLR2004
        "under_one": float(np.mean(distance < 1)),
    }


def judge_landmarks(stats: LandmarkStats, limit: LandmarkLimit) -> Judgement:
    """Judge the points of one image."""
    if stats.reference != stats.candidate:
        return Judgement("failed", (f"{stats.candidate} faces instead of {stats.reference}",))
    reasons = []
    if not stats.max <= limit.px:
        reasons.append(f"a point is {stats.max:.3g} px off, limit {limit.px:.3g}")
    if not stats.mean <= limit.mean_px:
        reasons.append(f"points are {stats.mean:.3g} px off in the mean, limit {limit.mean_px:.3g}")
    return judge(reasons)


def _items(stats: LandmarkStats) -> list[dict[str, Any]]:
    """Return a row for each point of each face."""
    if stats.differences is None:
        return []
    return [
        {"face": face, "point": point, "dx": float(dx), "dy": float(dy), "distance": math.hypot(dx, dy)}
        for face, points in enumerate(stats.differences)
        for point, (dx, dy) in enumerate(points)
    ]


def _totals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for all points together, then for each, how the distances are spread."""
    if not rows:
        return []
    distances: dict[Any, list[float]] = {"*": [float(row["distance"]) for row in rows]}
    for row in rows:
        distances.setdefault(row["point"], []).append(float(row["distance"]))
    return [{"point": point, "items": len(own), **_spread(np.array(own))} for point, own in distances.items()]


def _marks(reference: Landmarks, candidate: Landmarks, stats: LandmarkStats) -> list[tuple[Mark | None, Mark | None]]:
    """Return the points of each face."""
    if stats.differences is None:
        return [*((Mark(points), None) for points in reference.points), *((None, Mark(p)) for p in candidate.points)]
    return [(Mark(first), Mark(second)) for first, second in zip(reference.points, candidate.points, strict=True)]


def _rows(content: dict[str, Any]) -> Iterator[list[Any]]:
    for number, face in enumerate(content["faces"]):
        for index, point in enumerate(face["landmarks"]):
            yield [number, index, *point]


def around(points: Sequence[Sequence[float]]) -> list[float]:
    """Return the smallest box, x1 y1 x2 y2, that holds all the points."""
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def _annotations(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for face in content["faces"]:
        points = face["landmarks"]
        keypoints = [value for x, y in points for value in (x, y, _VISIBLE)]
        box = coco_box(*(face["box"] or around(points)))
        yield {"category_id": 0, **box, "keypoints": keypoints, "num_keypoints": len(points)}


def _skeleton(spec: ModelSpec) -> Skeleton | None:
    skeleton: Skeleton | None = None if spec.skeleton is None else resolve(spec.skeleton, spec.package)
    return skeleton


def _categories(spec: ModelSpec, _labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return COCO's one category, with the names of its keypoints if any; its skeleton counts them from 1."""
    skeleton = _skeleton(spec)
    if skeleton is None:
        return [{"id": 0, "name": "face"}]
    edges = [[first + 1, second + 1] for first, second in skeleton.edges()]
    return [{"id": 0, "name": "face", "keypoints": list(skeleton.names), "skeleton": edges}]


def _describe(content: dict[str, Any], _names: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a line per face: the box that its points fill. The points themselves are in json and csv."""
    rows = content["faces"]
    return counted(len(rows), "face"), [
        f"  face {number}  {len(row['landmarks'])} points in  {numbers(around(row['landmarks']))}"
        for number, row in enumerate(rows)
    ]


def _join(parts: Sequence[Landmarks], spec: ModelSpec) -> Landmarks:
    return Landmarks.join(parts) if parts else Landmarks.empty(_skeleton(spec))


def _shift(faces: Landmarks, offset: tuple[int, int]) -> Landmarks:
    boxes = None if faces.boxes is None else faces.boxes + np.array(offset * 2, np.float32)
    return replace(faces, points=faces.points + np.array(offset, np.float32), boxes=boxes)


def _read(content: Mapping[str, Any], spec: ModelSpec, _labels: Sequence[str]) -> Landmarks:
    faces = content["faces"]
    if not faces:
        return Landmarks.empty(_skeleton(spec))
    points = np.array([face["landmarks"] for face in faces], np.float32).reshape(len(faces), -1, 2)
    boxes = [face["box"] for face in faces if face["box"] is not None]
    return Landmarks(points, np.array(boxes, np.float32) if len(boxes) == len(faces) and boxes else None)


KIND = Kind(
    name="landmarks",
    limit=LandmarkLimit,
    usual=LandmarkLimit(px=0.5, mean_px=0.1),
    read=_read,
    measure=measure,
    judge=judge_landmarks,
    bounds={"px": "max", "mean_px": "mean"},
    table=(
        Column("mean px", "{mean:.1e}", "{mean_px:.1e}"),
        Column("std", "{std:.1e}"),
        Column("P95", "{p95:.1e}"),
        Column("P99", "{p99:.1e}"),
        Column("max px", "{max:.1e}", "{px:.1e}"),
        Column("< 0.5 px", "{under_half:.1%}"),
        Column("< 1 px", "{under_one:.1%}"),
    ),
    fields=("face", "point", "x", "y"),
    rows=_rows,
    describe=_describe,
    draw=".drawing:draw_landmarks",
    draw_in=".drawing:draw_landmarks_in",
    annotations=_annotations,
    categories=_categories,
    styles=frozenset({"contours", "numbers"}),
    join=_join,
    boxes=lambda result: [None] * len(result) if result.boxes is None else result.boxes,
    shift=_shift,
    items=_items,
    totals=_totals,
    marks=_marks,
)
