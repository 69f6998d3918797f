"""Results as COCO's list of results (cocodataset.org, results format), with the ids of given annotations."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ...errors import InputError, UsageError
from ..evaluate.coco_file import read_coco
from .text import TextSink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..evaluate.coco_file import Id
    from .base import Prediction, RunInfo
    from .text import TextOut

_LEFT_OUT = ("id", "iscrowd", "area", "num_keypoints")


class CocoResultsSink(TextSink):
    """Writes ``[{"image_id", "category_id", "bbox", "score"}, ..]`` when the run has ended, as pycocotools reads it.

    Raises:
        UsageError: COCO has no form for this kind of result, or the categories do not fit the model.
        InputError: The annotations cannot be used.

    """

    def __init__(self, info: RunInfo, out: TextOut, annotations: Path) -> None:
        super().__init__(info, out)
        if info.kind.annotations is None:
            raise UsageError(f"coco has no place for {info.kind.name}", "Use --format json.")
        self._annotate = info.kind.annotations
        dataset = read_coco(annotations, needs_boxes=False)
        self._ids = dataset.ids
        self._by_last = {PurePath(name).name: number for name, number in dataset.ids.items()}
        self._categories = _categories(info.labels, dataset.categories)
        self._results: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        """Keep what was found in an image.

        Raises:
            InputError: The annotations do not have the image.

        """
        number = self._ids.get(prediction.source, self._by_last.get(PurePath(prediction.source).name))
        if number is None:
            raise InputError(f"{prediction.source} is not in the annotations", "Results need the id of their image.")
        for found in self._annotate(prediction.result.to_dict()):
            entry = {key: value for key, value in found.items() if key not in _LEFT_OUT}
            category = self._categories.get(int(entry["category_id"]))
            if category is not None:
                self._results.append({"image_id": number, **entry, "category_id": category})

    def finish(self, *, broken: bool) -> None:
        """Write the list."""
        if not broken or self._results:
            self.put(json.dumps(self._results) + "\n")


def _categories(labels: Sequence[str], categories: Mapping[Id, str]) -> dict[int, Id]:
    """Return the category of each class id: by name in any case, else in order where there are as many.

    Raises:
        UsageError: Neither fits.

    """
    by_name = {name.casefold(): number for number, name in categories.items()}
    found = {index: by_name[label.casefold()] for index, label in enumerate(labels) if label.casefold() in by_name}
    if found:
        return found
    if len(labels) != len(categories):
        raise UsageError(
            f"none of the model's {len(labels)} classes is among the {len(categories)} categories of the annotations",
            "Name the classes as the categories are: --labels FILE at the export.",
        )
    return dict(enumerate(categories))
