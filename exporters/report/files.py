"""The files of a report: one to look at, one as text, beside the record that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .html import render_html
from .markdown import render_markdown

if TYPE_CHECKING:
    from ..gate.verify import Verification
    from .record import Record

RECORD, HTML, MARKDOWN = "parity.json", "report.html", "parity.md"


def report_files(record: Record, verification: Verification, lang: str = "en") -> dict[str, bytes]:
    """Return the files of a comparison by name.

    Args:
        record: What was compared.
        verification: What it was made from, for the images.
        lang: The language in which the report opens, "en" or "zh"; both are in it.

    """
    return {
        RECORD: record.to_json().encode(),
        HTML: render_html(record, verification, lang).encode(),
        MARKDOWN: render_markdown(record).encode(),
    }
