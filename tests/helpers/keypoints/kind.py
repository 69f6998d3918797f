"""The first of the two modules of the kind: statistics, verdict, rows, COCO, text, drawing."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from cvport.runtimes.kinds.base import Column, Kind
from cvport.runtimes.parity.judging import judge

from .result import EDGES, NAMES


@dataclass(frozen=True)
class KeypointLimit:
    px: float
    score: float
    derived: str = ""


@dataclass(frozen=True)
class KeypointStats:
    max_px: float
    max_score: float

    def figures(self):
        return asdict(self)


def measure(reference, candidate, _variants=lambda: ()):
    distance = np.linalg.norm(reference.points - candidate.points, axis=1)
    return KeypointStats(float(distance.max()), float(np.abs(reference.scores - candidate.scores).max()))


def _judge(stats, limit):
    reasons = [] if stats.max_px <= limit.px else [f"a keypoint is {stats.max_px:.3g} px off, limit {limit.px:.3g}"]
    reasons += [] if stats.max_score <= limit.score else [f"a score differs by {stats.max_score:.3g}"]
    return judge(reasons)


def _rows(content):
    return ([row["name"], *row["point"], row["score"]] for row in content["keypoints"])


def _describe(content, _names):
    rows = content["keypoints"]
    return "1 person", [f"  {row['name']:15} {row['point'][0]:7.1f} {row['point'][1]:7.1f}" for row in rows]


def _annotations(content):
    flat = [value for row in content["keypoints"] for value in (*row["point"], 2)]
    yield {"category_id": 0, "keypoints": flat, "num_keypoints": len(NAMES)}


def _categories(_spec, _labels):
    edges = [[a + 1, b + 1] for a, b in EDGES]
    return [{"id": 0, "name": "person", "keypoints": list(NAMES), "skeleton": edges}]


def draw(canvas, result, _style):
    for pair in EDGES:
        canvas.lines(result.points[list(pair)], (0, 255, 0))
    canvas.points(result.points, (255, 0, 0))


KIND = Kind(
    name="keypoints",
    limit=KeypointLimit,
    usual=KeypointLimit(0.5, 1e-3),
    measure=measure,
    judge=_judge,
    bounds={"px": "max_px", "score": "max_score"},
    table=(Column("max px", "{max_px:.1e}", "{px:.1e}"), Column("score", "{max_score:.1e}", "{score:.1e}")),
    fields=("name", "x", "y", "score"),
    rows=_rows,
    describe=_describe,
    draw="helpers.keypoints.kind:draw",
    annotations=_annotations,
    categories=_categories,
)
