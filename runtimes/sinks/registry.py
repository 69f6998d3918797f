"""The formats of results: a table of where the sink of each is, imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...models.lazy import resolve

if TYPE_CHECKING:
    from .base import RunInfo, Sink
    from .text import TextOut

# By the name that --format takes: (info, out) -> `Sink`.
FORMATS = {
    "table": ".table:TableSink",
    "json": ".json_document:JsonSink",
    "jsonl": ".json_lines:JsonLinesSink",
    "csv": ".csv_rows:CsvSink",
    "coco": ".coco:CocoSink",
}


def open_format(name: str, info: RunInfo, out: TextOut) -> Sink:
    """Return a sink that writes results to a text stream.

    Raises:
        UsageError: The format has no place for this kind of result.

    """
    sink: Sink = resolve(FORMATS[name], __package__ or "")(info, out)
    return sink
