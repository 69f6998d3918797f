"""What a kind of result is: everything about it that running and comparing need, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ...models.spec import ModelSpec
    from ..parity.verdicts import Judgement


class ResultStats(Protocol):
    """How two results of one image differ: a frozen dataclass of a kind."""

    def figures(self) -> dict[str, Any]:
        """Return the figures by name, numbers and booleans only."""


class Mark(NamedTuple):
    """Something of a result that has a place in the image.

    Attributes:
        points: (k, 2) x, y in pixels of the image.
        outline: Whether the points are the corners of an outline; else each is drawn by itself.
        label: What is written beside it.

    """

    points: NDArray[np.float32]
    outline: bool = False
    label: str = ""


class Column(NamedTuple):
    """A column of a table of compared results: its title, how figures fill it, and how limits do."""

    title: str
    form: str
    limit: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of result.

    Attributes:
        name: As `ModelSpec.kind` and `Result.kind` call it.
        limit: The dataclass of what two results may differ by.
        usual: What two results may differ by where no limits were derived: float32, of any backend.
        measure: (reference, candidate, variants) -> statistics. *variants* gives the reference decoded again with
            thresholds moved by their tolerance; it is called only where something is in one of the two results alone.
        judge: (statistics, limit) -> judgement.
        bounds: For each figure of a limit, the figure of the statistics that it bounds.
        table: The columns of a table of compared results.
        fields: Names of the columns of a row in CSV, after the source.
        rows: (the JSON form of a result) -> its rows in CSV.
        describe: (the JSON form, names to write instead of labels) -> a few words, and lines below them.
        draw: ``"module:attribute"`` of (canvas, result, style) -> None; the module may need Pillow.
        annotations: (the JSON form) -> COCO annotations without ids; None where COCO has no form for the kind.
        categories: (spec, labels) -> COCO categories.
        styles: Names of the drawing options that only this kind has.
        join: (results of the regions of one image, spec) -> one result; None where a result has no parts.
        boxes: (result) -> the box of each entry, (N, 4) x1 y1 x2 y2 in pixels, or None for each where the whole image
            was looked at; None where entries have no place in the image.
        shift: (result, (x, y)) -> the result, moved by so many pixels.
        draw_in: ``"module:attribute"`` of (canvas, result, box, style) -> None, which draws a result that belongs to a
            box that is drawn already; "" where `draw` does as well.
        items: (statistics) -> a row for each compared item, figures by name.
        totals: (the rows of several images) -> rows of what they come to together.
        marks: (reference, candidate, statistics) -> what the two have in the image, pair by pair, None for what one
            has alone.
        vary: (decode, a row of the reference's outputs, its best, parameters, limits) -> the reference's results with
            each threshold moved by its tolerance.
        read: (the JSON form of a result, spec, labels) -> the result; None where stored results cannot be read.
        stored: ``"module:attribute"`` of (path) -> results of other programs by image; "" where there are none.
        selects_classes: Whether its postprocessing can be told to report some classes only.

    """

    name: str
    limit: type[Any]
    usual: Any
    measure: Callable[..., ResultStats]
    judge: Callable[[Any, Any], Judgement]
    bounds: Mapping[str, str]
    table: tuple[Column, ...]
    fields: tuple[str, ...]
    rows: Callable[[dict[str, Any]], Iterable[list[Any]]]
    describe: Callable[[dict[str, Any], Mapping[str, str]], tuple[str, list[str]]]
    draw: str
    annotations: Callable[[dict[str, Any]], Iterable[dict[str, Any]]] | None = None
    categories: Callable[[ModelSpec, Sequence[str]], list[dict[str, Any]]] = lambda _spec, labels: [
        {"id": number, "name": name} for number, name in enumerate(labels)
    ]
    styles: frozenset[str] = frozenset()
    join: Callable[[Sequence[Any], ModelSpec], Any] | None = None
    boxes: Callable[[Any], Sequence[Any]] | None = None
    shift: Callable[[Any, tuple[int, int]], Any] = lambda result, _offset: result
    draw_in: str = ""
    items: Callable[[Any], list[dict[str, Any]]] = lambda _stats: []
    totals: Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]] = lambda _rows: []
    marks: Callable[[Any, Any, Any], list[tuple[Mark | None, Mark | None]]] = lambda *_: []
    vary: Callable[..., Sequence[Any]] = lambda *_: ()
    read: Callable[[Mapping[str, Any], ModelSpec, Sequence[str]], Any] | None = None
    stored: str = ""
    selects_classes: bool = False
