"""The result: 17 points with scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

# COCO's keypoints of a person, in the order of its category (cocodataset.org, keypoint task).
NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
)
EDGES = ((5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (11, 12), (5, 11), (6, 12), (11, 13), (13, 15), (12, 14), (14, 16))


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of one person.

    Attributes:
        points: (17, 2) float32, x y in pixels.
        scores: (17,) float32.

    """

    kind: ClassVar[str] = "keypoints"

    points: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.points)

    def to_dict(self) -> dict[str, Any]:
        rows = zip(NAMES, self.points.tolist(), self.scores.tolist(), strict=True)
        return {"keypoints": [{"name": name, "point": point, "score": score} for name, point, score in rows]}
