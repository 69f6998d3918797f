"""Scenes as a COCO dataset (cocodataset.org, data format)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .scenes import Scene


class Dataset:
    """Pictures and the boxes on them; a class id is the index of a class."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = [{"id": index, "name": name} for index, name in enumerate(classes)]

    def add(self, scene: Scene, name: str = "") -> int:
        """Add a scene, whose file has that name, and return its id."""
        image_id = len(self.images) + 1
        height, width = scene.image.shape[:2]
        self.images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for box, class_id in zip(scene.boxes, scene.class_ids, strict=True):
            place = {"id": len(self.annotations) + 1, "image_id": image_id, "iscrowd": 0}
            self.annotations.append({**place, **box_entry(box, class_id)})
        return image_id

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}


def box_entry(box: Sequence[float], class_id: int) -> dict[str, Any]:
    """Return a box, x1 y1 x2 y2 in pixels, as COCO writes it."""
    left, top, right, bottom = (float(value) for value in box)
    size = [left, top, right - left, bottom - top]
    return {"category_id": int(class_id), "bbox": size, "area": size[2] * size[3]}
