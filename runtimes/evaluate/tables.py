"""Figures as aligned text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..kinds.text import padded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .base import Evaluation, Figure, Score

_NONE = "-"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line per row: the first column to the left, the others to the right."""
    if not rows:
        return []
    first, *others = zip(*rows, strict=True)
    columns = [padded(first), *([cell.rjust(max(map(len, cells))) for cell in cells] for cells in others)]
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]


def figure_lines(evaluation: Evaluation, scores: Mapping[str, Score]) -> list[str]:
    """Return a table of the figures: a column per backend, then the differences of the others to the first."""
    first, *others = scores
    rows = [["", *scores, *(f"{name} - {first}" for name in others)]]
    for figure in evaluation.figures:
        values = [_cell(figure, score.figures[figure.name]) for score in scores.values()]
        signed = figure._replace(form=figure.form.replace(":", ":+"))
        moved = [_cell(signed, difference(scores[first], scores[name], figure.name)) for name in others]
        rows.append([figure.title, *values, *moved])
    return align(rows)


def row_lines(evaluation: Evaluation, score: Score) -> list[str]:
    """Return the table of the figures of each class; nothing where the kind has none."""
    if not evaluation.columns:
        return []
    cells = [[_cell(column, row[column.name]) for column in evaluation.columns] for row in score.rows]
    return align([[column.title for column in evaluation.columns], *cells])


def difference(first: Score, other: Score, name: str) -> float | None:
    """Return by how much a figure of another score is larger; None where one of them is not defined."""
    a, b = first.figures[name], other.figures[name]
    return None if a is None or b is None else round(b - a, 6)


def _cell(figure: Figure, value: Any) -> str:  # noqa: ANN401
    return _NONE if value is None else figure.form.format(value)
