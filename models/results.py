"""Results of one image. Coordinates are pixels of the original image, origin at its top-left corner. numpy alone.

Each class names its kind of result (`kind`), refuses fields that contradict each other when it is made, and can be
indexed by a mask, a slice, an array of indices or an int; an int gives a result of length 1.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np

from ..errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Index: TypeAlias = int | slice | NDArray[np.bool_] | NDArray[np.integer] | Sequence[int] | Sequence[bool]


class Result(Protocol):
    """What every kind of result has."""

    @property
    def kind(self) -> str:
        """Name of the kind."""

    def __len__(self) -> int:
        """Return the number of detections, faces or classes."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with one key, that of the kind."""


@dataclass(frozen=True)
class Detections:
    """Boxes found in one image, best first.

    Attributes:
        boxes: (N, 4) float32, x1 y1 x2 y2 in pixels, clipped to the image.
        scores: (N,) float32 in [0, 1].
        class_ids: (N,) int64.
        labels: A class name for each box.
        margins: (N,) float32, score minus the score that the runner-up class gives the same box (the score itself
            where there is one class): how close each label was.

    Raises:
        InputError: Shapes, lengths or dtypes are not those above.

    """

    kind: ClassVar[str] = "detections"

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labels: tuple[str, ...]
    margins: NDArray[np.float32] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        count = _rows(self, "scores", np.float32, (None,))
        _rows(self, "boxes", np.float32, (count, 4))
        _rows(self, "class_ids", np.int64, (count,))
        if self.margins is not None:
            _rows(self, "margins", np.float32, (count,))
        _names(self, "labels", count)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[str, float, NDArray[np.float32]]]:
        """Yield (label, score, box) of each detection, best first."""
        for label, score, box in zip(self.labels, self.scores, self.boxes, strict=True):
            yield label, float(score), box

    def __getitem__(self, index: Index) -> Detections:
        rows = _indices(index, len(self))
        margins = None if self.margins is None else self.margins[rows]
        labels = tuple(self.labels[row] for row in rows.tolist())
        return Detections(self.boxes[rows], self.scores[rows], self.class_ids[rows], labels, margins)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with the key ``detections``."""
        rows = zip(self.labels, self.class_ids.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True)
        return {
            "detections": [
                {"label": label, "class_id": class_id, "score": round(score, 6), "box": [round(x, 3) for x in box]}
                for label, class_id, score, box in rows
            ]
        }

    def to_supervision(self) -> Any:  # noqa: ANN401
        """Return a ``supervision.Detections``: boxes, scores, class ids, and labels as ``data["class_name"]``.

        Raises:
            UsageError: supervision is not installed.

        """
        names = np.array(self.labels, dtype=str)
        return _supervision().Detections(
            xyxy=self.boxes.copy(),
            confidence=self.scores.copy(),
            class_id=self.class_ids.copy(),
            data={"class_name": names},
        )

    @classmethod
    def from_supervision(cls, detections: Any) -> Detections:  # noqa: ANN401
        """Return the detections of a ``supervision.Detections``, best first.

        Scores that are not there are 1, class ids 0, labels ``class_0`` and so on.

        Args:
            detections: With ``xyxy`` (N, 4) in pixels.

        Raises:
            InputError: It is no such object, or its arrays do not belong together.

        """
        if not hasattr(detections, "xyxy"):
            raise InputError(f"{type(detections).__name__} is no supervision.Detections", "Give one with xyxy.")
        count = len(detections.xyxy)
        scores = np.ones(count) if detections.confidence is None else np.asarray(detections.confidence)
        ids = np.zeros(count) if detections.class_id is None else np.asarray(detections.class_id)
        names = (detections.data or {}).get("class_name", [f"class_{int(number)}" for number in ids])
        order = np.argsort(-scores, kind="stable")
        return cls(
            np.asarray(detections.xyxy, np.float32).reshape(count, 4)[order],
            scores[order].astype(np.float32),
            ids[order].astype(np.int64),
            tuple(str(names[row]) for row in order),
        )


class Contour(NamedTuple):
    """A line through points.

    Attributes:
        name: What it outlines; left and right are the person's own.
        points: Indices of its points, in the order of the line.
        closed: Whether the last point is joined to the first.

    """

    name: str
    points: tuple[int, ...]
    closed: bool


@dataclass(frozen=True)
class Skeleton:
    """What the points of a result are called and how they are joined.

    Attributes:
        names: A name for each of the P points.
        contours: Lines through the points; a point may be on several or on none.

    Raises:
        InputError: A contour goes through a point that does not exist.

    """

    names: tuple[str, ...]
    contours: tuple[Contour, ...] = ()

    def __post_init__(self) -> None:
        """Refuse contours through points that do not exist."""
        for contour in self.contours:
            if not all(0 <= point < len(self.names) for point in contour.points):
                raise InputError(
                    f"contour {contour.name} goes through a point outside of 0..{len(self.names) - 1}",
                    "Number the points from 0 in the order of the network's output.",
                )

    def __len__(self) -> int:
        return len(self.names)

    def edges(self) -> list[tuple[int, int]]:
        """Return the pairs of points that are joined."""
        found: list[tuple[int, int]] = []
        for _, points, closed in self.contours:
            found += itertools.pairwise(points)
            if closed and len(points) > 1:
                found.append((points[-1], points[0]))
        return found


@dataclass(frozen=True)
class Landmarks:
    """Points of the faces (or other objects of one sort) in one image.

    Attributes:
        points: (F, P, 2) float32, x y in pixels; not clipped, a face may reach out of the image.
        boxes: (F, 4) float32, x1 y1 x2 y2 in pixels, the boxes that the faces were looked for in; None where the whole
            image was taken for one face.
        skeleton: Names of the P points and the lines through them; None where neither is known.

    Raises:
        InputError: Shapes, lengths or dtypes are not those above.

    """

    kind: ClassVar[str] = "landmarks"

    points: NDArray[np.float32]
    boxes: NDArray[np.float32] | None = None
    skeleton: Skeleton | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        count = _rows(self, "points", np.float32, (None, None, 2))
        if self.boxes is not None:
            _rows(self, "boxes", np.float32, (count, 4))
        if self.skeleton is not None and len(self.skeleton) != self.points.shape[1]:
            raise InputError(
                f"Landmarks.skeleton has {len(self.skeleton)} points, Landmarks.points has {self.points.shape[1]}",
                "Give the skeleton of these points, or None.",
            )

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the (P, 2) points of each face."""
        return iter(self.points)

    def __getitem__(self, index: Index) -> Landmarks:
        rows = _indices(index, len(self))
        return Landmarks(self.points[rows], None if self.boxes is None else self.boxes[rows], self.skeleton)

    @classmethod
    def empty(cls, skeleton: Skeleton | None = None) -> Landmarks:
        """Return the result of an image in which no face was looked for."""
        count = 0 if skeleton is None else len(skeleton)
        return cls(np.empty((0, count, 2), np.float32), np.empty((0, 4), np.float32), skeleton)

    @classmethod
    def join(cls, parts: Sequence[Landmarks]) -> Landmarks:
        """Return the faces of one image, at least one, as one result."""
        boxes = [part.boxes for part in parts if part.boxes is not None]
        points = np.concatenate([part.points for part in parts])
        return cls(points, np.concatenate(boxes) if boxes else None, parts[0].skeleton)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with the key ``faces``."""
        boxes: list[Any] = [None] * len(self) if self.boxes is None else self.boxes.tolist()
        return {
            "faces": [
                {"box": _rounded(box), "landmarks": [_rounded(point) for point in points]}
                for box, points in zip(boxes, self.points.tolist(), strict=True)
            ]
        }

    def to_supervision(self) -> Any:  # noqa: ANN401
        """Return a ``supervision.KeyPoints`` of the points of each face.

        Raises:
            UsageError: supervision is not installed.

        """
        return _supervision().KeyPoints(xy=self.points.copy(), class_id=np.zeros(len(self), dtype=int))


@dataclass(frozen=True)
class Chained:
    """What a model found in one image, and what another found in each of the boxes.

    Attributes:
        result: Of the first.
        model: Name of the other.
        then: For each entry of the result what the other found there, in pixels of the whole image; an error where it
            could not look, None where it was not asked.

    Raises:
        InputError: There are not as many as entries.

    """

    result: Any
    model: str
    then: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Refuse results that do not belong together."""
        if len(self.then) != len(self.result):
            lengths = f"Chained.then has {len(self.then)} entries, Chained.result has {len(self.result)}"
            raise InputError(lengths, "Give one for each.")

    @property
    def kind(self) -> str:
        """The kind of the first result."""
        kind: str = self.result.kind
        return kind

    def __len__(self) -> int:
        return len(self.result)

    def to_dict(self) -> dict[str, Any]:
        """Return the first result's JSON form, in whose entries those of the others stand as ``then``."""
        content: dict[str, Any] = self.result.to_dict()
        (entries,) = content.values()
        for entry, then in zip(entries, self.then, strict=True):
            if isinstance(then, InputError):
                entry["then"] = {"model": self.model, "error": {"code": then.exit_code, "message": then.message}}
            elif then is not None:
                entry["then"] = {"model": self.model, **then.to_dict()}
        return content


@dataclass(frozen=True)
class Classification:
    """How well each class fits one image.

    Attributes:
        scores: (C,) float32 in [0, 1], in class order. Indexing is in class order, iteration best first.
        labels: (C) class names, in class order.

    Raises:
        InputError: Shapes, lengths or dtypes are not those above.

    """

    kind: ClassVar[str] = "classes"

    scores: NDArray[np.float32]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse scores and names that do not belong together."""
        _names(self, "labels", _rows(self, "scores", np.float32, (None,)))

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """Yield (label, score) of each class, best first; of equals the first in class order."""
        for index in self.order():
            yield self.labels[index], float(self.scores[index])

    def __getitem__(self, index: Index) -> Classification:
        rows = _indices(index, len(self))
        return Classification(self.scores[rows], tuple(self.labels[row] for row in rows.tolist()))

    def order(self) -> list[int]:
        """Return the class ids, best first."""
        best_first: list[int] = np.argsort(-self.scores, kind="stable").tolist()
        return best_first

    @property
    def label(self) -> str:
        """Name of the best class."""
        return self.labels[self.order()[0]]

    @property
    def score(self) -> float:
        """Score of the best class."""
        return float(self.scores.max())

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return (label, score) of the *count* best classes, best first."""
        return list(self)[:count]

    def to_supervision(self) -> Any:  # noqa: ANN401
        """Return a ``supervision.Classifications``, class ids and scores in class order.

        Raises:
            UsageError: supervision is not installed.

        """
        return _supervision().Classifications(class_id=np.arange(len(self)), confidence=self.scores.copy())

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with the key ``scores``, best first."""
        return {"scores": [{"label": label, "score": round(score, 6)} for label, score in self]}


def _rounded(values: list[float] | None) -> list[float] | None:
    return None if values is None else [round(value, 3) for value in values]


def _rows(result: object, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> int:
    """Check one array of a result against its dtype and shape (None: any length), and return its first length."""
    value, where = getattr(result, name), f"{type(result).__name__}.{name}"
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        what = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise InputError(f"{where} is {what}, not an array of {np.dtype(dtype)}", "Convert it: numpy.asarray.")
    if value.ndim != len(shape) or any(want not in (None, has) for want, has in zip(shape, value.shape, strict=True)):
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise InputError(f"{where} has shape {value.shape}, not ({wanted})", "All parts of a result go together.")
    return int(value.shape[0])


def _names(result: object, name: str, count: int) -> None:
    """Check a tuple of names, and that there is one for each of *count*."""
    value, where = getattr(result, name), f"{type(result).__name__}.{name}"
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise InputError(f"{where} is not a tuple of strings", "Convert it: tuple(map(str, names)).")
    if len(value) != count:
        raise InputError(f"{where} has {len(value)} names for {count} scores", "All parts of a result go together.")


def _indices(index: Index, count: int) -> NDArray[np.intp]:
    """Return what *index* selects of *count* rows, as indices."""
    if isinstance(index, int | np.integer):
        return np.arange(count)[[index]]
    return np.arange(count)[index if isinstance(index, slice) else np.asarray(index, None if len(index) else np.intp)]


def _supervision() -> Any:  # noqa: ANN401
    """Return the package supervision."""
    try:
        import supervision
    except ImportError as error:
        raise UsageError(
            f"supervision cannot be imported: {error}", "Install it: pip install 'cvport[supervision]'"
        ) from error
    return supervision
