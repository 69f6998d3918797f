"""A record as Markdown, to be pasted into a pull request: the tables of the report without its images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .tables import pair_tables
from .text import decisions, failures_of, leg_text, nearest_to_limit, notes_of
from .words import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .record import Record
    from .tables import PairTables, Table

# What would end a cell, or be read as mark-up.
_SPECIAL = re.compile(r"([\\|*_`<>\[\]#])")


def render_markdown(record: Record) -> str:
    """Return a record as Markdown."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Record) -> Iterator[str]:
    nearest = nearest_to_limit(record)
    yield f"# {escape(record.model)}: {record.verdict}"
    yield ""
    yield f"{escape(record.title)}{', **untrained weights**' if record.untrained else ''}"
    yield ""
    if nearest is not None:
        yield f"Nearest to its limit: {escape(nearest.text)}"
        yield ""
    yield from (f"- {escape(name)}: {escape(leg_text(leg))}" for name, leg in record.legs.items())
    yield ""
    lines = [*(f"note: {note}" for note in record.notes), *notes_of(record), *failures_of(record), *decisions(record)]
    yield from (f"- {escape(' '.join(line.split()))}" for line in lines)
    for pair in pair_tables(record):
        yield from _pair(pair)
    yield ""
    yield f"SHA-256 of the file: `{record.onnx_sha256}`"


def _pair(pair: PairTables) -> Iterator[str]:
    yield ""
    yield f"## {escape(pair.legs)}: {pair.verdict}{'' if pair.counts else ' (' + WORDS['for the record'].en + ')'}"
    parts = (
        ("tensors", [pair.outputs]),
        ("decoded", [pair.decoded]),
        ("totals", [pair.totals]),
        ("details", pair.items),
    )
    for key, tables in parts:
        shown = [table for table in tables if table.rows]
        if shown:
            yield from ("", f"### {WORDS[key].en}")
        for table in shown:
            yield from _table(table)
    if pair.left:
        yield from ("", f"{pair.left} {WORDS['more images'].en}")


def _table(table: Table) -> Iterator[str]:
    yield ""
    if table.title:
        yield from (f"**{escape(table.title)}**", "")
    yield f"| {' | '.join(escape(_word(name)) for name in table.columns)} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(escape(cell) for cell in row)} |"
    if table.left:
        yield from ("", f"{table.left} {WORDS['more rows'].en}")


def _word(key: str) -> str:
    return WORDS[key].en if key in WORDS else key


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
