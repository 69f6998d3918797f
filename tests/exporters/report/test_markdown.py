"""The report as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cvport.exporters.report.markdown import escape, render_markdown
from cvport.exporters.report.record import Record


@pytest.fixture(scope="module")
def record(small, tmp_path_factory):
    return Record.from_dict(small.verify(tmp_path_factory.mktemp("markdown")))


def test_verdict_tables_and_items(record):
    text = render_markdown(record)
    lines = text.splitlines()
    assert lines[0] == "# yolox: passed"
    assert "**untrained weights**" in text
    assert "## torch-onnx: passed" in lines
    assert "| output | worst case | max error | mean error | P99.9 | cosine | limit | headroom | verdict |" in lines
    assert "### Items, the worst image first" in lines
    assert any(line.startswith("| label | other label | same | score |") for line in lines)
    for line in lines:
        if line.startswith("|---"):
            width = line.count("|")
    assert all(line.replace(r"\|", "").count("|") >= 3 for line in lines if line.startswith("|")), width


def test_text_of_others_is_no_markup(record):
    hostile = replace(record, title="a | b\n# c <b>", notes=("[x](y)",))
    text = render_markdown(hostile)
    assert r"a \| b \# c \<b\>" in text
    assert r"\[x\](y)" in text
    assert escape("a|b*c") == r"a\|b\*c"
