"""Boxes that were found before, in the place of a detector: ours, COCO's or supervision's."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models.results import Detections
from ..models.spec import ModelSpec
from .job import Timing
from .plain_json import check_text, json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from .backends.base import Backend
    from .sources.base import Item

_HINT = "Give results of cvrun (json, jsonl), a COCO dataset, or rows of supervision's sinks with their source."
_SPEC = ModelSpec(
    name="boxes",
    package=__package__ or "",
    task="boxes of a file",
    kind="detections",
    input_name="",
    output_names=(),
    outputs="",
    sizes="",
    stride=None,
    code={},
)
# supervision's CSVSink and JSONSink.
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_Row = dict[str, Any]
_LARGEST = float(np.finfo(np.float32).max)
_CORNER_COUNT = 4


class StoredBoxes:
    """Stands where a predictor does, and answers with what a file says of an image.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read, or is none of the known forms.

    """

    untrained, seal, assumed, classes, members = False, None, (), None, ()

    def __init__(self, path: Path) -> None:
        self.spec = _SPEC
        self.backend: Backend
        rows = _read(path)
        names = dict.fromkeys(row["label"] for found in rows.values() for row in found)
        self.labels = tuple(names)
        self._found = {name: _detections(found, self.labels) for name, found in rows.items()}
        self._by_last = {PurePath(name).name: found for name, found in self._found.items()}

    def of(self, item: Item) -> Detections:
        """Return the boxes of an image: by its name, else by the last part of that; none where the file has none."""
        found = self._found.get(item.name) or self._by_last.get(PurePath(item.name).name)
        return _detections([], self.labels) if found is None else found

    def has(self, item: Item) -> bool:
        """Tell whether the file says anything of an image."""
        return item.name in self._found or PurePath(item.name).name in self._by_last

    def predict_timed(
        self,
        _images: Sequence[Any],
        *,
        face_boxes: Sequence[Any] | None = None,
        on_error: str = "raise",  # noqa: ARG002
    ) -> tuple[list[Any], Timing]:
        """Return the boxes that are given with each image."""
        return list(face_boxes or ()), Timing(0.0, 0.0, 0.0)

    def lane(self) -> Self:
        """Return itself: nothing in it changes."""
        return self

    def close(self) -> None:
        """Do nothing."""


def _read(path: Path) -> dict[str, list[_Row]]:
    """Return rows with label, score and box by the name of their image."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _rows(path, text)
        found: dict[str, list[_Row]] = defaultdict(list)
        for source, row in rows:
            found[source] += [] if row is None else [row]
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "Check the path of the boxes.") from error
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"cannot read the boxes {path}: {error}", _HINT) from error
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise InputError(f"{path} holds no boxes of a known form: {type(error).__name__} {error}", _HINT) from error
    return found


def _rows(path: Path, text: str) -> Iterator[tuple[str, _Row | None]]:
    if path.suffix.lower() == ".csv":
        return _of_table(csv.DictReader(io.StringIO(text)))
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _ours(json.loads(line) for line in json_lines(text))
    content = json.loads(text)
    if isinstance(content, list):
        return _of_table(content)
    if "annotations" in content:
        return _of_coco(content)
    return _ours(content["results"])


def _ours(results: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, _Row | None]]:
    for result in results:
        if "error" in result:
            continue
        source = _text(result["source"])
        yield source, None
        key = "detections" if "detections" in result else "faces"
        for row in result[key]:
            yield source, _row(row.get("label", "face"), row.get("score", 1.0), row["box"])


def _of_coco(content: Mapping[str, Any]) -> Iterator[tuple[str, _Row | None]]:
    names = {row["id"]: _text(row["file_name"]) for row in content["images"]}
    labels = {row["id"]: row["name"] for row in content["categories"]}
    for name in names.values():
        yield name, None
    for row in content["annotations"]:
        x, y, width, height = row["bbox"]
        box = [x, y, x + width, y + height]
        yield names[row["image_id"]], _row(labels[row["category_id"]], row.get("score", 1.0), box)


def _of_table(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, _Row | None]]:
    """Yield the rows of supervision's sinks, or of our CSV."""
    for row in rows:
        ours = "x1" in row
        corners = ("x1", "y1", "x2", "y2") if ours else _CORNERS
        label = row["label"] if ours else row.get("class_name") or f"class_{int(float(row.get('class_id') or 0))}"
        score = row.get("score" if ours else "confidence")
        # Texts in a table, and in the JSON of supervision too.
        box = [float(row[corner]) for corner in corners]
        yield _text(row["source"]), _row(label, 1.0 if score in (None, "") else float(score), box)


def _row(label: object, score: object, box: Any) -> _Row:  # noqa: ANN401
    """Return a row whose parts are what they should be, else raise a ValueError or TypeError."""
    if len(box) != _CORNER_COUNT or not all(map(_is_number, box)):
        raise ValueError("it holds a box that is not four numbers")
    if not _is_number(score):
        raise ValueError("it holds a score that is no number")
    return {"label": _text(label), "score": score, "box": box}


def _is_number(value: object) -> bool:
    """Tell whether a value is a number that float32 holds; NaN is none."""
    return type(value) in (int, float) and abs(value) <= _LARGEST  # type: ignore[arg-type]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a name is a {type(value).__name__}")
    check_text(value)
    return value


def _detections(rows: Sequence[_Row], labels: Sequence[str]) -> Detections:
    ordered = sorted(rows, key=lambda row: -row["score"])
    boxes = np.array([row["box"] for row in ordered], np.float32).reshape(len(ordered), _CORNER_COUNT)
    numbers = {name: number for number, name in enumerate(labels)}
    names = tuple(row["label"] for row in ordered)
    scores = np.array([row["score"] for row in ordered], np.float32)
    return Detections(boxes, scores, np.array([numbers[name] for name in names], np.int64), names)
