"""Results as CSV (RFC 4180, with line feeds): the columns are those of the kind of result."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from ...models.printable import printable
from .text import TextSink

# With these a spreadsheet begins a formula: https://owasp.org/www-community/attacks/CSV_Injection.
_FORMULA = ("=", "+", "-", "@")

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .base import Prediction, RunInfo
    from .text import TextOut


class CsvSink(TextSink):
    """Writes the names of the columns, then a row per detection, point or class."""

    def __init__(self, info: RunInfo, out: TextOut) -> None:
        super().__init__(info, out)
        # A file that is gone on with has its head.
        self._head: list[list[Any]] = [] if getattr(out, "size", 0) else [["source", *info.kind.fields]]

    def write(self, prediction: Prediction) -> None:
        """Write the rows of an image."""
        rows = self.info.kind.rows(prediction.result.to_dict())
        self._put_rows([prediction.source, *row] for row in rows)

    def finish(self, *, broken: bool) -> None:
        """Write the names of the columns where there was no result."""
        if not broken:
            self._put_rows([])

    def _put_rows(self, rows: Iterable[list[Any]]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([_cell(value) for value in row] for row in (*self._head, *rows))
        self.put(text.getvalue())
        self._head = []  # it is there now


def _cell(value: Any) -> Any:  # noqa: ANN401
    """Return a cell; text is escaped where it cannot be printed, and quoted for spreadsheets that would run it."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
