"""The formats of results: a table of where the sink of each is, imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...errors import UsageError
from ...models.lazy import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from .base import RunInfo, Sink
    from .text import TextOut


class FormatEntry(NamedTuple):
    """A format.

    Attributes:
        opens: ``"module:attribute"`` of (info, out) -> `Sink`; *out* is a text stream, or a folder.
        endings: Of the files that hold it.
        whole: Whether half of a file is of no use.
        in_folder: Whether it is a file for each image.

    """

    opens: str
    endings: tuple[str, ...] = ()
    whole: bool = False
    in_folder: bool = False


# By the name that --format takes.
FORMATS: dict[str, FormatEntry] = {
    "table": FormatEntry(".table:TableSink", (".txt",)),
    "json": FormatEntry(".json_document:JsonSink", (".json",), whole=True),
    "jsonl": FormatEntry(".json_lines:JsonLinesSink", (".jsonl", ".ndjson")),
    "csv": FormatEntry(".csv_rows:CsvSink", (".csv",)),
    "coco": FormatEntry(".coco:CocoSink", whole=True),
    "yolo": FormatEntry(".yolo:YoloSink", in_folder=True),
}
# Those with a place for the results of models in a row.
CHAINED_FORMATS = ("table", "json", "jsonl")


def format_of(path: Path) -> str | None:
    """Return the format of a file by its ending; None where no format has it."""
    return next((name for name, entry in FORMATS.items() if path.suffix.lower() in entry.endings), None)


def open_format(name: str, info: RunInfo, out: TextOut | Path, annotations: Path | None = None) -> Sink:
    """Return a sink that writes results to a text stream, or into a folder.

    Args:
        name: Of the format.
        info: What is the same for all results.
        out: The stream, or the folder of a format that is a file for each image.
        annotations: For coco: the dataset whose ids results have.

    Raises:
        UsageError: The format has no place for this kind of result.

    """
    if info.chained and name not in CHAINED_FORMATS:
        raise UsageError(
            f"{name} has no place for what models find in the boxes of others",
            f"Formats that have: {', '.join(CHAINED_FORMATS)}.",
        )
    if annotations is not None:
        if name != "coco":
            raise UsageError(f"--annotations belongs to coco, not to {name}", "Add --format coco.")
        with_ids: Sink = resolve(".coco_results:CocoResultsSink", __package__ or "")(info, out, annotations)
        return with_ids
    sink: Sink = resolve(FORMATS[name].opens, __package__ or "")(info, out)
    return sink
