"""A record as text: the verdict and what is nearest to its limit first, tables on demand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cvport.exporters.report.record import Record
from cvport.exporters.report.text import failure, nearest_to_limit, render


@pytest.fixture(scope="module")
def record(small, tmp_path_factory):
    return Record.from_dict(small.verify(tmp_path_factory.mktemp("text")))


def share(entry):
    return entry.figures["max_abs"] / entry.limits["max_abs"] if entry.tier == "tensors" else 0.0


def test_few_lines_tell_what_matters(record):
    lines = render(record).splitlines()
    assert len(lines) < 12
    assert lines[-1] == "legs: torch ran, onnx ran, npu not run (not asked for)"
    assert lines[-2].startswith("nearest to its limit: ")


def test_nearest_is_the_largest_share_of_all_figures(record):
    nearest = nearest_to_limit(record)
    assert max(share(entry) for entry in record.comparisons) <= nearest.share < 1
    entry = next(e for e in record.comparisons if e.tier == "tensors" and e.what == "reg_1")
    limit = entry.limits["max_abs"]
    worse = replace(entry, figures={**entry.figures, "max_abs": 0.9 * limit, "max_rel": 0.1})
    found = nearest_to_limit(replace(record, comparisons=(*record.comparisons, worse)))
    assert found.share == pytest.approx(0.9)
    assert found.text == f"reg_1 max abs {0.9 * limit:.3g} of {limit:.3g} (90%), torch-onnx {entry.case}"
    lost = replace(entry, figures={**entry.figures, "max_abs": "nan", "max_rel": "nan"})
    assert "reg_1" in nearest_to_limit(replace(record, comparisons=(*record.comparisons, lost))).text


def test_tables_line_up(record):
    lines = render(record, verbose=True).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("decoded"))
    table = lines[start : next(i for i in range(start, len(lines)) if lines[i].startswith("limits"))]
    assert len(table) == 9
    columns = {line.rindex("  ") for line in table}
    assert len(columns) == 1, "the verdicts stand in one column"
    assert sum(line.startswith(("cls_", "reg_", "obj_")) for line in lines) == 9


def test_failures_are_named_first(record):
    entry = replace(
        next(e for e in record.comparisons if e.what == "obj_0" and e.tier == "tensors"),
        verdict="failed",
        reasons=("max abs 1 is over the limit 0.1",),
    )
    broken = replace(record, verdict="failed", comparisons=(entry,))
    assert failure(broken) == (
        f"1 of 1 comparisons, first torch-onnx tensors {entry.case} obj_0: failed, max abs 1 is over the limit 0.1"
    )
    assert f"failed: torch-onnx tensors {entry.case} obj_0: max abs 1 is over the limit 0.1" in render(broken)


def test_notes_are_shown(record):
    assert "note: look again" in render(replace(record, notes=("look again",)))
