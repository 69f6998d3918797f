"""Results of a file: boxes that stand in for a detector, and what a comparison reads."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache

import numpy as np

from cvport.errors import InputError
from cvport.models.registry import get_model
from cvport.runtimes.parity.stored import StoredResults
from cvport.runtimes.sources.base import Item
from cvport.runtimes.stored import StoredBoxes
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_json
from fuzz.texts import TextFile

_MODELS = ("yolox", "landmarks68", "emotion")
_FORMS = ("json", "jsonl", "csv")


def run(data: bytes) -> None:
    """Read a text as every form; one that reads it is enough."""
    errors = []
    for form in _FORMS:
        path = TextFile(f"some.{form}").holding(data)
        uses = [lambda path=path: _use_boxes(StoredBoxes(path))]
        uses += [lambda path=path, name=name: _use_results(path, name) for name in _MODELS]
        for use in uses:
            try:
                use()
            except InputError as error:
                errors.append(error)
    if len(errors) == len(_FORMS) * (len(_MODELS) + 1):
        raise errors[0]


def _use_boxes(stored: StoredBoxes) -> None:
    for name in ("a.png", "x/b.png", "gone.png"):
        _check(stored.of(Item(name)))


def _use_results(path: TextFile, name: str) -> None:
    spec = get_model(name)
    stored = StoredResults(path, spec, spec.labels)
    with suppress(InputError):  # an error there, where it is there at all
        _check(stored.of(Item("x/b.png")))
    _check(stored.of(Item("a.png")))


def _check(result) -> None:
    json.dumps(result.to_dict(), allow_nan=False, ensure_ascii=False).encode()
    for name in ("scores", "boxes", "points"):
        values = getattr(result, name, None)
        if values is not None and not np.isfinite(values).all():
            raise SilentChangeError(f"{name} are {values}")


@cache
def seeds() -> list[bytes]:
    """Our JSON and lines of every kind, a COCO dataset, and supervision's rows."""
    box = {"label": "hand", "class_id": 0, "score": 0.5, "box": [1.0, 2.0, 30.0, 40.5]}
    emotions = get_model("emotion").labels
    kinds = {
        "detections": [box, {**box, "score": 0.25}],
        "faces": [{"box": [0.0, 0.0, 9.0, 9.0], "landmarks": [[float(i), 2.0] for i in range(68)]}],
        "scores": [{"label": label, "score": 1 / len(emotions)} for label in emotions],
    }
    rows = [{"source": "a.png", "width": 90, "height": 80, key: entries} for key, entries in kinds.items()]
    failed = {"source": "x/b.png", "code": 3, "message": "no such file"}
    documents = [{"schema_version": 1, "model": "m", "results": [row], "errors": [failed]} for row in rows]
    found = [json.dumps(document).encode() for document in documents]
    found += ["\n".join(map(json.dumps, (row, {"source": "x/b.png", "error": failed}))).encode() for row in rows]
    coco = {
        "images": [{"id": 7, "file_name": "a.png", "width": 90, "height": 80}],
        "categories": [{"id": 1, "name": "hand"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5}],
    }
    row = {"source": "a.png", "class_name": "hand", "confidence": 0.5, "class_id": 0}
    row |= {"x_min": 1.0, "y_min": 2.0, "x_max": 30.0, "y_max": 40.0}
    found += [json.dumps(coco).encode(), json.dumps([row]).encode()]
    found.append(b"source,label,class_id,score,x1,y1,x2,y2\na.png,hand,0,0.5,1,2,30,40\n")
    found.append((",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n").encode())
    return found


TARGET = Target(seeds, run, mutate_json, (InputError.exit_code,))
