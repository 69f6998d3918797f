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


Result: TypeAlias = Detections
