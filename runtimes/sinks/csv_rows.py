"""Results as CSV (RFC 4180, with line feeds): the columns are those of the kind of result."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from .text import TextSink

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
        writer.writerows((*self._head, *rows))
        self.put(text.getvalue())
        self._head = []  # it is there now
