"""Where results go: formatted onto stdout."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...models.landmarks68.contours import NUM_POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ...models.results import Result
    from ..predictor import Timing

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Prediction:
    """The result of one picture."""

    source: str
    width: int
    height: int
    result: Result
    timing: Timing

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        timing = {stage: round(ms, 3) for stage, ms in self.timing._asdict().items()}
        size = {"source": self.source, "width": self.width, "height": self.height}
        return {**size, **self.result.to_dict(), "timing_ms": timing}


@dataclass
class Run:
    """All that one command did.

    *names* are what people read instead of some labels, *settings* what the numbers of a device depend on.
    """

    model: str
    kind: str
    backend: str
    device: str
    untrained: bool
    labels: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: list[Prediction] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


def as_json(run: Run) -> str:
    """Return one JSON document."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": run.model,
        "backend": run.backend,
        "device": run.device,
        **({"untrained": True} if run.untrained else {}),
        **({"settings": dict(run.settings)} if run.settings else {}),
        "results": [prediction.to_dict() for prediction in run.predictions],
        "errors": run.errors,
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_jsonl(run: Run) -> str:
    """Return one JSON object a picture and line, then one for each error."""
    rows = [*(prediction.to_dict() for prediction in run.predictions), *run.errors]
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def as_csv(run: Run) -> str:
    """Return one line a detection, a point of a face, or a class of a picture."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", *_CSV[run.kind][0]])
    for prediction in run.predictions:
        writer.writerows([prediction.source, *row] for row in _CSV[run.kind][1](prediction.result.to_dict()))
    return text.getvalue().rstrip("\n")


def _csv_detections(content: dict[str, Any]) -> Iterator[list[Any]]:
    return ([row["label"], row["class_id"], row["score"], *row["box"]] for row in content["detections"])


def _csv_faces(content: dict[str, Any]) -> Iterator[list[Any]]:
    for number, face in enumerate(content["faces"]):
        for index, point in enumerate(face["landmarks"]):
            yield [number, index, *point]


def _csv_scores(content: dict[str, Any]) -> Iterator[list[Any]]:
    return ([rank, row["label"], row["score"]] for rank, row in enumerate(content["scores"], 1))


# By the kind of result: the columns after the source, and the rows of one picture.
_CSV: dict[str, tuple[list[str], Callable[[dict[str, Any]], Iterator[list[Any]]]]] = {
    "detections": (["label", "class_id", "score", "x1", "y1", "x2", "y2"], _csv_detections),
    "landmarks": (["face", "point", "x", "y"], _csv_faces),
    "classes": (["rank", "label", "score"], _csv_scores),
}


def as_coco(run: Run) -> str:
    """Return a COCO dataset (cocodataset.org, data format) of detections, or of faces with their keypoints."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, prediction in enumerate(run.predictions, 1):
        size = {"width": prediction.width, "height": prediction.height}
        images.append({"id": image_id, "file_name": prediction.source, **size})
        for annotation in _COCO[run.kind](prediction.result.to_dict()):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "iscrowd": 0, **annotation})
    categories: list[dict[str, Any]] = [{"id": i, "name": name} for i, name in enumerate(run.labels)]
    if run.kind == "landmarks":
        categories = [{"id": 0, "name": "face", "keypoints": [str(number) for number in range(NUM_POINTS)]}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}, ensure_ascii=False)


def _coco_box(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    """Return a box as x, y, width, height."""
    width, height = round(x2 - x1, 3), round(y2 - y1, 3)
    return {"bbox": [x1, y1, width, height], "area": round(width * height, 3)}


def _coco_detections(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in content["detections"]:
        yield {"category_id": row["class_id"], **_coco_box(*row["box"]), "score": row["score"]}


def _coco_faces(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for face in content["faces"]:
        points = face["landmarks"]
        around = face["box"] or _around(points)
        # 2 is what COCO calls labelled and visible.
        keypoints = [value for x, y in points for value in (x, y, 2)]
        yield {"category_id": 0, **_coco_box(*around), "keypoints": keypoints, "num_keypoints": len(points)}


_COCO = {"detections": _coco_detections, "landmarks": _coco_faces}


def _around(points: Sequence[Sequence[float]]) -> list[float]:
    """Return the smallest box, x1 y1 x2 y2, that holds all the points."""
    xs, ys = zip(*points, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def as_table(run: Run) -> str:
    """Return aligned text for people."""
    lines = []
    note = "  (untrained weights)" if run.untrained else ""
    for prediction in run.predictions:
        summary, rows = _TABLES[run.kind](prediction.result.to_dict(), run.names)
        spent = " + ".join(f"{ms:.1f}" for ms in prediction.timing)
        lines.append(
            f"{prediction.source}  {prediction.width}x{prediction.height}  {summary}"
            f"  {spent} ms on {run.backend} {run.device}{note}"
        )
        lines += rows
    return "\n".join(lines)


def _table_detections(content: dict[str, Any], names: Mapping[str, str]) -> tuple[str, list[str]]:
    rows = content["detections"]
    labels = _padded([names.get(row["label"], row["label"]) for row in rows])
    return _counted(len(rows), "detection"), [
        f"  {label}  {row['score']:.3f}  {_numbers(row['box'])}" for label, row in zip(labels, rows, strict=True)
    ]


def _table_faces(content: dict[str, Any], _names: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a line a face: the box that its points fill. The points themselves are in json and csv."""
    rows = content["faces"]
    return _counted(len(rows), "face"), [
        f"  face {number}  {len(row['landmarks'])} points in  {_numbers(_around(row['landmarks']))}"
        for number, row in enumerate(rows)
    ]


def _table_scores(content: dict[str, Any], names: Mapping[str, str]) -> tuple[str, list[str]]:
    rows = content["scores"]
    labels = _padded([names.get(row["label"], row["label"]) for row in rows])
    best = labels[0].strip() if labels else "no classes"
    return best, [f"  {label}  {row['score']:.3f}" for label, row in zip(labels, rows, strict=True)]


_TABLES = {"detections": _table_detections, "landmarks": _table_faces, "classes": _table_scores}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _numbers(values: Sequence[float]) -> str:
    return "  ".join(f"{value:7.1f}" for value in values)


def _padded(names: Sequence[str]) -> list[str]:
    """Return the names at one width; Chinese characters are two columns wide."""
    widths = [sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in name) for name in names]
    return [name + " " * (max(widths) - width) for name, width in zip(names, widths, strict=True)]


FORMATS: dict[str, Callable[[Run], str]] = {
    "table": as_table,
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
    "coco": as_coco,
}


def check_format(form: str, kind: str) -> None:
    """Refuse a format that does not hold this kind of result, before anything is run.

    Raises:
        UsageError: COCO has no form for the scores of classes.

    """
    if form == "coco" and kind not in _COCO:
        raise UsageError("COCO holds boxes and points, no scores of classes", "Take json, jsonl or csv.")
