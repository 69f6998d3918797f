"""A record as tables, worst first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cvport.exporters.report.record import Record
from cvport.exporters.report.tables import by_share, cell, pair_tables


@pytest.fixture(scope="module")
def record(small, tmp_path_factory):
    return Record.from_dict(small.verify(tmp_path_factory.mktemp("tables")))


def test_one_row_for_each_output_and_image(record):
    (pair,) = pair_tables(record)
    assert (pair.legs, pair.verdict, pair.counts) == ("torch-onnx", "passed", True)
    assert [row[0] for row in pair.outputs.rows] == list(record.limits["tensors"])
    images = [entry for entry in record.comparisons if entry.tier == "decoded"]
    assert len(pair.decoded.rows) == len(images) + 1
    assert pair.decoded.rows[-1][0] == "limits"
    assert len(pair.items) + pair.left == sum(bool(entry.rows) for entry in images)
    assert all("rounding error" in text or "roundings" in text for _, text in pair.derived)


def test_histograms_count_every_value(record):
    (pair,) = pair_tables(record)
    for histogram in pair.histograms:
        entries = [entry for entry in record.comparisons if entry.what == histogram.output and entry.tier == "tensors"]
        values = sum(sum(entry.histogram.values()) for entry in entries)
        assert sum(count for _, count in histogram.counts) + histogram.equal == values > 300
        exponents = [exponent for exponent, _ in histogram.counts]
        assert exponents == list(range(exponents[0], exponents[-1] + 1))
        worst = max(float(entry.figures["max_abs"]) for entry in entries)
        assert 2.0 ** (exponents[-1] - 1) <= worst < 2.0 ** exponents[-1]
        assert 0 < histogram.limits[0] <= histogram.limits[1]


def test_the_worst_image_comes_first(record):
    images = [entry for entry in record.comparisons if entry.tier == "decoded"]
    far = replace(images[2], figures={**images[2].figures, "max_px": 0.9 * float(images[2].limits["px"])})
    failed = replace(images[3], verdict="failed")
    ordered = by_share(record, [*images[:2], far, failed])
    assert [entry.what for entry in ordered[:2]] == [failed.what, far.what]
    assert ordered[0].verdict == "failed"


def test_items_are_the_recorded_rows(record):
    (pair,) = pair_tables(record)
    first = pair.items[0]
    entry = next(e for e in record.comparisons if f"{e.case} ({e.what})" == first.title and e.tier == "decoded")
    assert first.columns[:4] == ("label", "other_label", "same", "score")
    assert [row[3] for row in first.rows] == [cell(row["score"]) for row in entry.rows][: len(first.rows)]
    assert len(first.rows) + first.left == len(entry.rows) == entry.figures["matched"]
    assert pair.totals.rows[-1][0] == "*"


def test_records_without_rows_have_tables_too(record):
    bare = replace(record, comparisons=tuple(replace(e, rows=(), histogram={}) for e in record.comparisons))
    (pair,) = pair_tables(bare)
    assert pair.items == ()
    assert pair.totals.rows == ()
    assert all(histogram.counts == () for histogram in pair.histograms)
