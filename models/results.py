"""What a model finds in one image. Coordinates are pixels of the original image, origin at its top-left corner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """Boxes found in one image, best first.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels, clipped to the image.
        scores: (N,) float32 in [0, 1].
        class_ids: (N,) int64.
        labels: A class name for each box.
        margins: (N,) float32, score minus the score that the runner-up class gives the same box (the score itself
            where there is one class): how close each label was.

    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labels: tuple[str, ...]
    margins: NDArray[np.float32] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[str, float, NDArray[np.float32]]]:
        """Yield (label, score, box) of each detection, best first."""
        for label, score, box in zip(self.labels, self.scores, self.boxes, strict=True):
            yield label, float(score), box

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with the key ``detections``."""
        rows = zip(self.labels, self.class_ids.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True)
        return {
            "detections": [
                {"label": label, "class_id": class_id, "score": round(score, 6), "box": [round(x, 3) for x in box]}
                for label, class_id, score, box in rows
            ]
        }


@dataclass(frozen=True)
class Landmarks:
    """Points of the faces in one image.

    Attributes:
        points: (F, P, 2) float32, x y in pixels; not clipped, a face may reach out of the image.
        boxes: (F, 4) float32, x1 y1 x2 y2 in pixels, the boxes that the faces were looked for in; None where the whole
            image was taken for one face.

    """

    points: NDArray[np.float32]
    boxes: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with the key ``faces``."""
        boxes: list[Any] = [None] * len(self) if self.boxes is None else self.boxes.tolist()
        return {
            "faces": [
                {"box": _rounded(box), "landmarks": [_rounded(point) for point in points]}
                for box, points in zip(boxes, self.points.tolist(), strict=True)
            ]
        }


@dataclass(frozen=True)
class Classification:
    """How well each class fits one image.

    Attributes:
        scores: (C,) float32 in [0, 1], in class order.
        labels: (C) class names, in class order.

    """

    scores: NDArray[np.float32]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """Yield (label, score) of each class, best first; of equals the first in class order."""
        for index in self.order():
            yield self.labels[index], float(self.scores[index])

    def order(self) -> list[int]:
        """Return the class ids, best first."""
        best_first: list[int] = np.argsort(-self.scores, kind="stable").tolist()
        return best_first

    @property
    def label(self) -> str:
        """Name of the best class."""
        return self.labels[self.order()[0]]

    @property
    def score(self) -> float:
        """Score of the best class."""
        return float(self.scores.max())

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return (label, score) of the *count* best classes, best first."""
        return list(self)[:count]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with the key ``scores``, best first."""
        return {"scores": [{"label": label, "score": round(score, 6)} for label, score in self]}


def _rounded(values: list[float] | None) -> list[float] | None:
    return None if values is None else [round(value, 3) for value in values]


Result: TypeAlias = Detections | Landmarks | Classification
