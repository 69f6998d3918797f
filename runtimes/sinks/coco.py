"""Results as a COCO dataset (cocodataset.org, data format), written when the run has ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .text import TextSink

if TYPE_CHECKING:
    from .base import Prediction, RunInfo
    from .text import TextOut


class CocoSink(TextSink):
    """Collects images and annotations: COCO lists all images before the first annotation.

    Raises:
        UsageError: COCO has no form for this kind of result.

    """

    def __init__(self, info: RunInfo, out: TextOut) -> None:
        super().__init__(info, out)
        if info.kind.annotations is None:
            raise UsageError(f"COCO has no form for {info.kind.name}", "Take --format json, jsonl or csv.")
        self._annotate = info.kind.annotations
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        """Keep an image and what was found in it."""
        image_id = len(self._images) + 1
        size = {"width": prediction.width, "height": prediction.height}
        self._images.append({"id": image_id, "file_name": prediction.source, **size})
        for annotation in self._annotate(prediction.result.to_dict()):
            number = len(self._annotations) + 1
            self._annotations.append({"id": number, "image_id": image_id, "iscrowd": 0, **annotation})

    def finish(self, *, broken: bool) -> None:
        """Write the dataset."""
        if broken and not self._images:
            return
        categories = self.info.kind.categories(self.info.spec, self.info.labels)
        content = {"images": self._images, "annotations": self._annotations, "categories": categories}
        self.put(json.dumps(content, ensure_ascii=False) + "\n")
