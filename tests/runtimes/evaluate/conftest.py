"""A request for a model's truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import cvport
from cvport.runtimes.evaluate.base import Request


@pytest.fixture
def request_for() -> Callable[..., Request]:
    """``request_for("yolox", labels, words, ...)``."""

    def make(model: str, labels: Any, words: Any, **more: Any) -> Request:
        spec = cvport.get_model(model)
        return replace(Request(spec, tuple(labels), [str(word) for word in words]), **more)

    return make


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., list[Path]]:
    """``write_images("a.png", "b/c.png")`` writes grey pictures there."""

    def write(*names: str) -> list[Path]:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / name), np.full((40, 60, 3), 128, np.uint8))
        return [tmp_path / name for name in names]

    return write


@pytest.fixture
def write_coco(tmp_path: Path) -> Callable[..., Path]:
    """``write_coco({"a.png": [("cat", (x, y, w, h))]}, ["cat", "dog"])`` writes a dataset; ids count from *first*."""

    def write(images: dict[str, list[Any]], names: list[str], first: int = 1, /, **changes: Any) -> Path:
        content: dict[str, Any] = {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(images, 1)],
            "categories": [{"id": number, "name": name} for number, name in enumerate(names, first)],
            "annotations": [],
        }
        for number, boxes in enumerate(images.values(), 1):
            for name, box, *more in boxes:
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]),
                        "image_id": number,
                        "category_id": first + names.index(name),
                        "bbox": list(box),
                        **(more[0] if more else {}),
                    }
                )
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(content | changes))
        return path

    return write
