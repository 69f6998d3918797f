"""What callers of a predictor may give: the boxes of faces, the names of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Box = Sequence[float] | NDArray[np.floating]
    # The boxes of one image: (F, 4), or one box.
    Boxes = Sequence[Box] | Box

_BOX_SIDES = 4
_BOXES_HINT = "Give x1, y1, x2, y2 in pixels of the image, or a list of such boxes."


def boxes_by_image(face_boxes: Any, images: int) -> list[Any]:  # noqa: ANN401
    """Return the boxes of each image, each still as it was given.

    Raises:
        InputError: There are not as many entries as images.

    """
    try:
        given = list(face_boxes)
    except TypeError as error:
        raise InputError(f"face boxes are no {type(face_boxes).__name__}", _BOXES_HINT) from error
    if len(given) != images:
        raise InputError(
            f"there are face boxes of {len(given)} images for {images} images", "Give the boxes of each image, or None."
        )
    return given


def boxes_of(given: Any) -> list[Box]:  # noqa: ANN401
    """Return the boxes of one image: rows of four numbers, or four numbers for one box.

    Whether a box is a place in the image, preprocessing tells.

    Raises:
        InputError: It is no list of boxes.

    """
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:  # rows of different lengths
        raise InputError("face boxes have 4 numbers each, these differ", _BOXES_HINT) from error
    if array.shape == (0,):
        return []
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise InputError(f"{type(given).__name__} is no list of face boxes", _BOXES_HINT)
    if array.shape[-1] != _BOX_SIDES:
        raise InputError(f"a face box has 4 numbers, not {array.shape[-1]}", _BOXES_HINT)
    boxes: list[Box] = [tuple(box) for box in array.reshape(-1, _BOX_SIDES).astype(np.float64).tolist()]
    return boxes


def class_ids(
    names: Iterable[str | int], labels: Sequence[str], translations: Mapping[str, Mapping[str, str]]
) -> list[int]:
    """Return the ids of classes given by name, in any case and in any of the model's languages, or by number.

    Raises:
        UsageError: There is no such class.

    """
    ids: list[int] = []
    for name in map(str, names):
        found = ids_named(name, labels, translations)
        if not found and name.isdecimal() and int(name) < len(labels):
            found = [int(name)]
        if not found:
            raise UsageError(f"there is no class {name!r}", did_you_mean(name, labels))
        ids += [number for number in found if number not in ids]
    return ids


def ids_named(name: str, labels: Sequence[str], translations: Mapping[str, Mapping[str, str]]) -> list[int]:
    """Return the ids of the classes of a name: as it is written, else in any case, else translated."""
    wanted = name.casefold()
    tables: list[Callable[[str], bool]] = [
        lambda label: label == name,
        lambda label: label.casefold() == wanted,
        lambda label: any(label in names and names[label].casefold() == wanted for names in translations.values()),
    ]
    for fits in tables:
        found = [number for number, label in enumerate(labels) if fits(label)]
        if found:
            return found
    return []
