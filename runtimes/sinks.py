"""Where results go: formatted onto stdout, drawn into files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..models.results import Result
    from .predictor import Timing

SCHEMA_VERSION = 1
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


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
    """All that one command did."""

    model: str
    backend: str
    device: str
    untrained: bool
    labels: Sequence[str]
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
        "results": [prediction.to_dict() for prediction in run.predictions],
        "errors": run.errors,
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_jsonl(run: Run) -> str:
    """Return one JSON object a picture and line, then one for each error."""
    rows = [*(prediction.to_dict() for prediction in run.predictions), *run.errors]
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def as_csv(run: Run) -> str:
    """Return one line a detection."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", "label", "class_id", "score", "x1", "y1", "x2", "y2"])
    for prediction in run.predictions:
        for row in prediction.result.to_dict()["detections"]:
            writer.writerow([prediction.source, row["label"], row["class_id"], row["score"], *row["box"]])
    return text.getvalue().rstrip("\n")


def as_coco(run: Run) -> str:
    """Return a COCO detection dataset (cocodataset.org, data format): boxes are x, y, width, height."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, prediction in enumerate(run.predictions, 1):
        size = {"width": prediction.width, "height": prediction.height}
        images.append({"id": image_id, "file_name": prediction.source, **size})
        for row in prediction.result.to_dict()["detections"]:
            x1, y1, x2, y2 = row["box"]
            box = [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": row["class_id"],
                    "bbox": box,
                    "area": round(box[2] * box[3], 3),
                    "iscrowd": 0,
                    "score": row["score"],
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(run.labels)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}, ensure_ascii=False)


def as_table(run: Run) -> str:
    """Return aligned text for people."""
    lines = []
    note = "  (untrained weights)" if run.untrained else ""
    for prediction in run.predictions:
        rows = prediction.result.to_dict()["detections"]
        count = f"{len(rows)} detection{'' if len(rows) == 1 else 's'}"
        spent = " + ".join(f"{ms:.1f}" for ms in prediction.timing)
        lines.append(
            f"{prediction.source}  {prediction.width}x{prediction.height}  {count}"
            f"  {spent} ms on {run.backend} {run.device}{note}"
        )
        width = max((len(row["label"]) for row in rows), default=0)
        for row in rows:
            box = "  ".join(f"{value:7.1f}" for value in row["box"])
            lines.append(f"  {row['label']:{width}}  {row['score']:.3f}  {box}")
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Run], str]] = {
    "table": as_table,
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_csv,
    "coco": as_coco,
}


class PictureSaver:
    """Writes annotated pictures, never two to the same name.

    Args:
        target: A file, if it ends like a picture, else a folder.
        backend: Goes into the names.

    """

    def __init__(self, target: Path, backend: str) -> None:
        self._target = target
        self._backend = backend
        self._taken: set[Path] = set()

    @property
    def is_file(self) -> bool:
        """Whether the target is one picture."""
        return self._target.suffix.lower() in _PICTURES and not self._target.is_dir()

    def save(self, source: str, image: NDArray[np.uint8], result: Result) -> Path:
        """Draw *result* and write it; return where.

        Raises:
            InputError: It cannot be written.

        """
        import cv2

        from .drawing import draw

        path = self._target if self.is_file else self._name(Path(source))
        if path.resolve() == Path(source).resolve():
            raise InputError(f"--save would overwrite the source {source}", "Choose another place with --save.")
        drawn = draw(image, result)
        try:
            done, data = cv2.imencode(path.suffix, drawn)
        except cv2.error:  # how some versions of OpenCV say that it is not done
            done = False
        if not done:
            height, width = image.shape[:2]
            raise InputError(
                f"cannot write {path}: the format does not hold {width}x{height} pixels",
                "Convert the picture to PNG first.",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}", "Choose another place with --save.") from error
        return path

    def _name(self, source: Path) -> Path:
        suffix = source.suffix.lower() if source.suffix.lower() in _PICTURES else ".png"
        for number in range(1, len(self._taken) + 2):
            again = "" if number == 1 else f"-{number}"
            path = self._target / f"{source.stem}_{self._backend}{again}{suffix}"
            if path not in self._taken:
                break
        self._taken.add(path)
        return path
