"""Reads a COCO dataset of boxes (cocodataset.org, data format), and refuses one that contradicts itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ...errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_HINT = "Give a COCO dataset: an object with images, annotations (with bbox) and categories."
_LISTS = ("images", "annotations", "categories")
_SIDES = 4

Id: TypeAlias = int | str


class TruthBox(NamedTuple):
    """A box that somebody drew.

    Attributes:
        category: Its category's id.
        box: x, y, width, height in pixels of the image.
        area: Of what is in the box, in square pixels; small, medium and large go by it.
        crowd: Whether it holds a group: what is found in it counts neither for nor against.

    """

    category: Id
    box: tuple[float, ...]
    area: float
    crowd: bool


class CocoFile(NamedTuple):
    """A dataset.

    Attributes:
        categories: Names by id, ids in ascending order.
        images: The boxes of each image by the name of its file, in the order of the file.
        sizes: Width and height of the images that have them.
        ids: The id of each image by the name of its file.

    """

    categories: dict[Id, str]
    images: dict[str, list[TruthBox]]
    sizes: dict[str, tuple[int, int]]
    ids: dict[str, Id]

    @property
    def used(self) -> set[Id]:
        """The categories that boxes are of."""
        return {box.category for boxes in self.images.values() for box in boxes}


def read_coco(path: Path, *, needs_boxes: bool = True) -> CocoFile:
    """Read a dataset.

    Args:
        path: Of the JSON file.
        needs_boxes: Whether one without boxes is refused.

    Raises:
        InputError: It cannot be read, is no dataset of boxes, contradicts itself, or holds no box.

    """
    content = _content(path)
    try:
        return _dataset(content, needs_boxes=needs_boxes)
    except KeyError as error:
        raise InputError(f"{path} is no COCO dataset of boxes: an entry has no {error}", _HINT) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"cannot use the annotations {path}: {error}", _HINT) from error


def _dataset(content: Mapping[str, Any], *, needs_boxes: bool) -> CocoFile:
    """Return the dataset of a JSON object; what is wrong with it is a KeyError, TypeError or ValueError."""
    categories = {_id(row["id"]): str(row["name"]) for row in _rows(content, "categories")}
    files = {_id(row["id"]): str(row["file_name"]) for row in _rows(content, "images")}
    _check_once(content, categories, files)
    images: dict[str, list[TruthBox]] = {name: [] for name in files.values()}
    for row in _rows(content, "annotations"):
        image, category, number = _id(row["image_id"]), _id(row["category_id"]), row.get("id", "without id")
        if image not in files:
            raise ValueError(f"annotation {number} is of image {image!r}, which is not in its images")
        if category not in categories:
            raise ValueError(f"annotation {number} is of category {category!r}, which is not in its categories")
        images[files[image]].append(_box(row, number))
    if needs_boxes and not any(images.values()):
        raise ValueError("it holds no box, so there is nothing to find")
    by_id = dict(sorted(categories.items(), key=lambda entry: (str(type(entry[0])), entry[0])))
    sizes = {
        str(row["file_name"]): (int(row["width"]), int(row["height"]))
        for row in _rows(content, "images")
        if row.get("width") and row.get("height")
    }
    return CocoFile(by_id, images, sizes, {name: number for number, name in files.items()})


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "Check --annotations.") from error
    except (OSError, ValueError, RecursionError) as error:  # not text and not JSON are both of ValueError
        raise InputError(f"cannot read the annotations {path}: {error}", _HINT) from error
    if isinstance(content, list):
        raise InputError(f"{path} is a list, such as results are, and no dataset", _HINT)
    missing = [name for name in _LISTS if not isinstance(content, Mapping) or not isinstance(content.get(name), list)]
    if missing:
        raise InputError(f"{path} is no COCO dataset: it has no list of {', '.join(missing)}", _HINT)
    found: Mapping[str, Any] = content
    return found


def _rows(content: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = content[name]
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(f"{name} holds something that is no object")
    return rows


def _check_once(content: Mapping[str, Any], categories: Mapping[Id, str], files: Mapping[Id, str]) -> None:
    """Refuse ids and names of files that occur twice: boxes would go to the wrong image."""
    for name, known in (("categories", categories), ("images", files)):
        if len(known) != len(content[name]):
            raise ValueError(f"two of its {name} have the same id")
    if len(set(files.values())) != len(files):
        names = list(files.values())
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two of its images have the file name {double!r}")


def _id(value: Any) -> Id:  # noqa: ANN401
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no id")
    return value


def _box(row: Mapping[str, Any], number: object) -> TruthBox:
    sides = row["bbox"]
    if not isinstance(sides, list) or len(sides) != _SIDES:
        raise TypeError(f"annotation {number} has no box of four numbers: {sides!r}")
    box = tuple(float(side) for side in sides)
    area = float(row["area"]) if row.get("area") is not None else box[2] * box[3]
    if not all(map(math.isfinite, (*box, area))) or min(box[2], box[3]) < 0:
        raise ValueError(f"annotation {number} has a box without extent: {sides!r}")
    return TruthBox(_id(row["category_id"]), box, area, bool(row.get("iscrowd", 0)))
