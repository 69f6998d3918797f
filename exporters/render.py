"""Printing a comparison for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = 8


def render(record: Mapping[str, Any]) -> str:
    """Return the content of a parity.json as aligned text: the worst case of each output, each picture, what failed."""
    comparisons: Sequence[Mapping[str, Any]] = record["comparisons"]
    lines = [
        _render_decisions(record),
        "",
        f"{'output':8} {'max abs':>10} {'limit':>10} {'mean abs':>10} {'cosine':>12}  verdict",
    ]
    for name, limit in record["limits"]["tensors"].items():
        rows = [entry for entry in comparisons if entry["what"] == name and entry["tier"] == "tensors"]
        worst = max(rows, key=lambda row: _rank(row["figures"]["max_abs"]))
        verdicts = [e["verdict"] for e in comparisons if e["what"] == name and e["tier"] in ("tensors", "spread")]
        figures = worst["figures"]
        lines.append(
            f"{name:8} {figures['max_abs']:10.2e} {limit['max_abs']:10.2e} {figures['mean_abs']:10.2e}"
            f" {figures['cosine']:12.9f}  {_worst(verdicts)}"
        )
    lines += ["", f"{'decoded':32} {'matched':>9} {'score':>9} {'px':>9} {'IoU':>9}  verdict"]
    for entry in comparisons:
        if entry["tier"] == "decoded":
            figures = entry["figures"]
            matched = f"{figures['matched']}/{figures['reference']}"
            name = f"{entry['case']} ({entry['what']})"
            lines.append(
                f"{name:32} {matched:>9} {figures['max_score']:9.1e} {figures['max_px']:9.1e}"
                f" {figures['min_iou']:9.6f}  {entry['verdict']}"
            )
    decoded = record["limits"]["decoded"]
    lines.append(f"{'limits':32} {'':9} {decoded['score']:9.1e} {decoded['px']:9.1e} {decoded['iou']:9.6f}")
    lines += _render_notes(comparisons)
    return "\n".join(lines)


def _render_decisions(record: Mapping[str, Any]) -> str:
    """Return what the weights do not tell, and who decided it: what to look at first when results are junk."""
    seal = record["seal"]
    values = {
        "input_size": "x".join(map(str, seal["input_size"])),
        "preprocess": seal["preprocess"].get("convention", ""),
        "activation": seal["variant"].get("activation", ""),
        "labels": ", ".join(seal["labels"][:3]) + (" ..." if len(seal["labels"]) > 3 else ""),  # noqa: PLR2004
    }
    return "\n".join(f"{name:12} {values.get(name, '')} ({by})" for name, by in record["decided_by"].items())


def _render_notes(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    failed = [entry for entry in comparisons if entry["verdict"] != "passed"]
    borderline = [text for entry in comparisons for text in entry["borderline"]]
    lines = []
    if borderline:
        lines += ["", "within tolerance of a threshold:", *(f"  {text}" for text in borderline[:_SHOWN])]
    if failed:
        lines.append("")
    for entry in failed[:_SHOWN]:
        where = " ".join(part for part in (entry["tier"], entry["case"], entry["what"]) if part)
        lines.append(f"{entry['verdict']}: {where}: {'; '.join(entry['reasons'][:3])}")
    if len(failed) > _SHOWN:
        lines.append(f"... and {len(failed) - _SHOWN} more, all in parity.json")
    return lines


def _rank(value: float | str) -> float:
    number = float(value)
    return number if number == number else float("inf")  # noqa: PLR0124  (NaN is the worst of all)


def _worst(verdicts: Sequence[str]) -> str:
    return next((verdict for verdict in ("failed", "uninformative") if verdict in verdicts), "passed")
