"""Printing a comparison for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...models.registry import get_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = 8


class _Column(NamedTuple):
    """A column of the decoded tier: its title, how a picture's figures fill it, and how the limits do."""

    title: str
    form: str
    limit: str = ""


# By the model's kind of result.
_COLUMNS = {
    "detections": (
        _Column("matched", "{matched}/{reference}"),
        _Column("score", "{max_score:.1e}", "{score:.1e}"),
        _Column("px", "{max_px:.1e}", "{px:.1e}"),
        _Column("IoU", "{min_iou:.6f}", "{iou:.6f}"),
    ),
    "landmarks": (
        _Column("mean px", "{mean:.1e}", "{mean_px:.1e}"),
        _Column("std", "{std:.1e}"),
        _Column("P95", "{p95:.1e}"),
        _Column("P99", "{p99:.1e}"),
        _Column("max px", "{max:.1e}", "{px:.1e}"),
        _Column("< 0.5 px", "{under_half:.1%}"),
        _Column("< 1 px", "{under_one:.1%}"),
    ),
    "classes": (
        _Column("top-1", "{top1}"),
        _Column("mean prob", "{mean_prob:.1e}"),
        _Column("max prob", "{max_prob:.1e}", "{prob:.1e}"),
        _Column("cosine", "{cosine:.6f}"),
        _Column("margin", "{margin:.4f}"),
    ),
}


def render(record: Mapping[str, Any]) -> str:
    """Return the content of a parity.json as aligned text: the worst case of each output, each picture, what failed."""
    comparisons: Sequence[Mapping[str, Any]] = record["comparisons"]
    lines = [_render_decisions(record), ""]
    lines += _render_legs(record, comparisons, "torch-onnx", record["limits"])
    if "npu" in record:
        npu = record["npu"]
        for precision, entries in (("strict", comparisons), ("production", npu["production"]["comparisons"])):
            for legs in ("torch-npu", "onnx-npu"):
                lines += ["", f"{legs}, {precision} precision"]
                lines += _render_legs(record, entries, legs, npu["limits"][precision])
        lines += ["", f"production precision: {npu['production']['verdict']} (for the record; strict precision counts)"]
    lines += _render_notes(comparisons)
    return "\n".join(lines)


def _render_legs(
    record: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]], legs: str, limits: Mapping[str, Any]
) -> list[str]:
    """Return the tables of two legs: the worst case of each output, and each picture."""
    width = max(map(len, (*limits["tensors"], "output..")))
    lines = [f"{'output':{width}} {'max abs':>10} {'limit':>10} {'mean abs':>10} {'cosine':>12}  verdict"]
    chosen = [entry for entry in comparisons if entry["legs"] == legs]
    spreads = [entry for entry in comparisons if entry["tier"] == "spread"]
    for name, limit in limits["tensors"].items():
        rows = [entry for entry in chosen if entry["what"] == name and entry["tier"] == "tensors"]
        worst = max(rows, key=lambda row: _rank(row["figures"]["max_abs"]))
        verdicts = [entry["verdict"] for entry in (*rows, *spreads) if entry["what"] == name]
        figures = worst["figures"]
        lines.append(
            f"{name:{width}} {figures['max_abs']:10.2e} {limit['max_abs']:10.2e} {figures['mean_abs']:10.2e}"
            f" {figures['cosine']:12.9f}  {_worst(verdicts)}"
        )
    return [*lines, "", *_render_decoded(record["model"], chosen, limits["decoded"])]


def _render_decoded(model: str, comparisons: Sequence[Mapping[str, Any]], limits: Mapping[str, Any]) -> list[str]:
    """Return a line a picture, with the columns of its kind of result, and one of the limits."""
    columns = _COLUMNS[get_model(model).kind]
    lines = [f"{'decoded':32} " + " ".join(f"{column.title:>9}" for column in columns) + "  verdict"]
    for entry in comparisons:
        if entry["tier"] == "decoded":
            cells = " ".join(f"{column.form.format(**entry['figures']):>9}" for column in columns)
            lines.append(f"{entry['case'] + ' (' + entry['what'] + ')':32} {cells}  {entry['verdict']}")
    cells = " ".join(f"{column.limit.format(**limits):>9}" for column in columns)
    return [*lines, f"{'limits':32} {cells}".rstrip()]


def _render_decisions(record: Mapping[str, Any]) -> str:
    """Return what the weights do not tell, and who decided it: what to look at first when results are junk."""
    seal = record["seal"]
    values = {
        "input_size": "x".join(map(str, seal["input_size"])),
        "preprocess": seal["preprocess"].get("convention", ""),
        "activation": seal["variant"].get("activation", ""),
        "labels": ", ".join(seal["labels"][:3]) + (" ..." if len(seal["labels"]) > 3 else ""),  # noqa: PLR2004
    }
    return "\n".join(
        f"{name:12} {values.get(name, seal['variant'].get(name, ''))} ({by})"
        for name, by in record["decided_by"].items()
    )


def _render_notes(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    failed = [entry for entry in comparisons if entry["verdict"] != "passed"]
    borderline = [text for entry in comparisons for text in entry["borderline"]]
    lines = []
    if borderline:
        lines += ["", "within tolerance of a threshold:", *(f"  {text}" for text in borderline[:_SHOWN])]
    if failed:
        lines.append("")
    for entry in failed[:_SHOWN]:
        where = " ".join(part for part in (entry["legs"], entry["tier"], entry["case"], entry["what"]) if part)
        lines.append(f"{entry['verdict']}: {where}: {'; '.join(entry['reasons'][:3])}")
    if len(failed) > _SHOWN:
        lines.append(f"... and {len(failed) - _SHOWN} more, all in parity.json")
    return lines


def _rank(value: float | str) -> float:
    number = float(value)
    return number if number == number else float("inf")  # noqa: PLR0124  (NaN is the worst of all)


def _worst(verdicts: Sequence[str]) -> str:
    return next((verdict for verdict in ("failed", "uninformative") if verdict in verdicts), "passed")


def render_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a line a model: the content of its parity.json with the path of the file, or why there is none."""
    table = [("model", "verdict", "exit", "largest difference", "weights", "file")]
    for row in rows:
        code = str(row.get("code", 0))
        if "onnx" not in row:
            table.append((row["model"], row["verdict"], code, "", "", row["message"].splitlines()[0]))
            continue
        weights = f"untrained, {row['loaded']}" if row["untrained"] else row["loaded"]
        table.append((row["model"], row["verdict"], code, _closest(row), weights, row["onnx"]))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in table
    )


def _closest(record: Mapping[str, Any]) -> str:
    """Return the largest difference of an output, as a part of what it may be."""
    limits = record["limits"]["tensors"]
    parts = [
        (entry["figures"]["max_abs"] / limits[entry["what"]]["max_abs"], entry["what"])
        for entry in record["comparisons"]
        if entry["legs"] == "torch-onnx" and entry["tier"] == "tensors" and limits[entry["what"]]["max_abs"]
    ]
    part, name = max(parts, default=(0.0, ""))
    return f"{part:.0%} of the limit ({name})"
