"""A record as text for people: the verdict and what is nearest to its limit first, whole tables on demand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ...runtimes.kinds.registry import get_kind
from ...runtimes.parity.limits import share_of_limit
from ...runtimes.seal import recorded_model
from .divergence import describe_divergence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...runtimes.kinds.base import Kind
    from .record import Entry, LegEntry, Record

_SHOWN = 8
_SHOWN_LABELS = 3
# Tiers whose figures have limits.
_MEASURED = ("tensors", "decoded", "batches", "algebra")
_TIERS = ("run", "tensors", "decoded", "batches", "structure", "algebra", "spread", "seal")


class Nearest(NamedTuple):
    """A figure and how much of its limit it takes.

    Attributes:
        share: 1 is the limit.
        text: The figure, its limit and where it was measured.
        what: The output, or "decoded" and the figure.

    """

    share: float
    text: str
    what: str


def render(record: Record, *, verbose: bool = False) -> str:
    """Return a record as aligned text.

    Args:
        record: What was compared.
        verbose: Whether to add the tables: the worst case of each output, and each image.

    """
    lines = [*decisions(record), ""]
    if verbose:
        lines += [*_tables(record), ""]
    lines += [*(f"note: {note}" for note in record.notes), *notes_of(record), *failures_of(record)]
    nearest = nearest_to_limit(record)
    if nearest is not None:
        lines.append(f"nearest to its limit: {nearest.text}")
    legs = ", ".join(f"{name} {leg_text(leg)}" for name, leg in record.legs.items() if leg.counts)
    lines.append(f"legs: {legs}")
    lines += [
        f"{name}: {leg.verdict} (for the record, it does not decide)"
        for name, leg in record.legs.items()
        if leg.verdict and not leg.counts
    ]
    return "\n".join(lines)


def nearest_to_limit(record: Record) -> Nearest | None:
    """Return the figure that takes the largest share of its limit, among all that count; None where there is none."""
    return max(_shares(record), default=None, key=lambda nearest: rank(nearest.share))


def _shares(record: Record) -> Iterator[Nearest]:
    """Yield every compared figure as a share of its limit."""
    bounds = kind_of(record).bounds
    for entry in record.comparisons:
        if not entry.counts or entry.tier not in _MEASURED:
            continue
        place = " ".join(part for part in (entry.legs, entry.case) if part)
        for name, limit in limits_of(record, entry).items():
            figure = float(entry.figures[bounds[name] if entry.tier == "decoded" else name])
            share = share_of_limit(name, figure, float(limit))
            what = f"decoded {name}" if entry.tier == "decoded" else f"{entry.what} {name.replace('_', ' ')}"
            where = f"{place} ({entry.what})" if entry.tier == "decoded" else place
            nearest = what if entry.tier == "decoded" else entry.what
            yield Nearest(share, f"{what} {figure:.3g} of {float(limit):.3g} ({share:.0%}), {where}", nearest)


def limits_of(record: Record, entry: Entry) -> Mapping[str, float]:
    """Return what the figures of a comparison may be; older records have that of its leg alone."""
    leg = record.legs.get(entry.legs.partition("-")[2])
    if entry.limits or leg is None or not leg.limits:
        return entry.limits
    if entry.tier == "tensors":
        limit = leg.limits["tensors"][entry.what]
        figures = {name: float(entry.figures[name]) for name in ("max_abs", "max_rel")}
        largest = figures["max_abs"] / figures["max_rel"] if figures["max_rel"] else 0.0
        return {"max_abs": float(limit["max_abs"]) + float(limit["rtol"]) * largest}
    return {name: float(value) for name, value in leg.limits["decoded"].items() if name != "derived"}


def leg_text(leg: LegEntry) -> str:
    """Return what became of a leg in a few words."""
    notes = [leg.reason.splitlines()[0]] if leg.reason else []
    notes += [word for word, is_so in (("captured", leg.captured), ("simulated", leg.simulated)) if is_so]
    return f"{leg.status} ({', '.join(notes)})" if notes else leg.status


def _tables(record: Record) -> list[str]:
    """Return the tables of every pair of legs that was compared."""
    lines = []
    for name, leg in record.legs.items():
        for first in leg.against:
            lines += ["", f"{first}-{name}"] if len(leg.against) > 1 else []
            lines += _pair_tables(record, f"{first}-{name}", leg.limits)
    return lines


def _pair_tables(record: Record, legs: str, limits: Mapping[str, Any]) -> list[str]:
    """Return the tables of two legs: the worst case of each output, and each image."""
    width = max(map(len, (*limits["tensors"], "output..")))
    lines = [f"{'output':{width}} {'max abs':>10} {'limit':>10} {'mean abs':>10} {'cosine':>12}  verdict"]
    chosen = [entry for entry in record.comparisons if entry.legs == legs]
    spreads = [entry for entry in record.comparisons if entry.tier == "spread"]
    for name in limits["tensors"]:
        rows = [entry for entry in chosen if entry.what == name and entry.tier == "tensors"]
        if not rows:  # not in every record: two devices may not have been compared with each other
            continue
        worst = max(rows, key=lambda row: rank(share_of(record, row)))
        allowed = limits_of(record, worst)["max_abs"]
        figures = {key: float(worst.figures[key]) for key in ("max_abs", "mean_abs", "cosine")}
        verdicts = [entry.verdict for entry in (*rows, *spreads) if entry.what == name]
        lines.append(
            f"{name:{width}} {figures['max_abs']:10.2e} {float(allowed):10.2e} {figures['mean_abs']:10.2e}"
            f" {figures['cosine']:12.9f}  {worst_of(verdicts)}"
        )
    return [*lines, "", *_decoded_table(kind_of(record), chosen, limits["decoded"])]


def share_of(record: Record, entry: Entry) -> float:
    """Return the largest error of an output as a share of its limit."""
    return share_of_limit("max_abs", float(entry.figures["max_abs"]), float(limits_of(record, entry)["max_abs"]))


def kind_of(record: Record) -> Kind:
    """Return the kind of result that was compared."""
    tools = record.seal.get("tools", {})
    return get_kind(recorded_model({"model": record.model, "tools": tools}, "the record").kind)


def _decoded_table(kind: Kind, comparisons: Sequence[Entry], limits: Mapping[str, Any]) -> list[str]:
    """Return a line per image, with the columns of its kind of result, and one of the limits."""
    columns = kind.table
    rows = [("decoded", [column.title for column in columns], "verdict")]
    for entry in comparisons:
        if entry.tier == "decoded":
            figures = {key: _number(value) for key, value in entry.figures.items()}
            cells = [column.form.format(**figures) for column in columns]
            rows.append((f"{entry.case} ({entry.what})", cells, entry.verdict))
    rows.append(("limits", [column.limit.format(**limits) for column in columns], ""))
    name_width = max(len(name) for name, _, _ in rows)
    widths = [max(9, *(len(cells[i]) for _, cells, _ in rows)) for i in range(len(columns))]
    return [
        f"{name:{name_width}} {' '.join(cell.rjust(w) for cell, w in zip(cells, widths, strict=True))}  {last}".rstrip()
        for name, cells, last in rows
    ]


def _number(value: Any) -> Any:  # noqa: ANN401
    return float(value) if value in ("nan", "inf", "-inf") else value


def decisions(record: Record) -> Iterator[str]:
    """Yield what the weights do not tell, and who decided it: what to look at first when results are junk."""
    seal = record.seal
    values = {
        "input_size": "x".join(map(str, seal["input_size"])),
        "preprocess": seal["preprocess"].get("convention", ""),
        "activation": seal["variant"].get("activation", ""),
        "labels": ", ".join(seal["labels"][:_SHOWN_LABELS]) + (" ..." if len(seal["labels"]) > _SHOWN_LABELS else ""),
    }
    for name, by in record.decided_by.items():
        yield f"{name:12} {values.get(name, seal['variant'].get(name, ''))} ({by})"


def notes_of(record: Record) -> list[str]:
    """Return what was within tolerance of a threshold, and what is told of operators."""
    counted = [entry for entry in record.comparisons if entry.counts]
    borderline = [text for entry in counted for text in entry.borderline if entry.tier != "structure"]
    lines = [text for entry in counted for text in entry.borderline if entry.tier == "structure"]
    if borderline:
        lines += [f"within tolerance of a threshold: {len(borderline)}", *(f"  {text}" for text in borderline[:_SHOWN])]
    return lines


def failures_of(record: Record) -> list[str]:
    """Return what did not pass, a line each, and where a search says that it begins."""
    failed = _failed(record)
    lines = [text] if (text := describe_divergence(record.divergence)) else []
    for entry in failed[:_SHOWN]:
        where = " ".join(part for part in (entry.legs, entry.tier, entry.case, entry.what) if part)
        lines.append(f"{entry.verdict}: {where}: {'; '.join(entry.reasons[:3])}")
    if len(failed) > _SHOWN:
        lines.append(f"... and {len(failed) - _SHOWN} more, all in parity.json")
    return lines


def rank(value: float | str) -> float:
    """Return a figure as a number to sort by."""
    number = float(value)
    return number if number == number else math.inf  # noqa: PLR0124  (NaN is the worst of all)


def worst_of(verdicts: Sequence[str]) -> str:
    """Return the verdict of all together."""
    return next((verdict for verdict in ("failed", "uninformative") if verdict in verdicts), "passed")


def _failed(record: Record) -> list[Entry]:
    """Return what did not pass and counts: what was computed first, then what the file says about itself."""
    failed = [entry for entry in record.comparisons if entry.verdict != "passed" and entry.counts]
    return sorted(failed, key=lambda entry: _TIERS.index(entry.tier))


def failure(record: Record) -> str:
    """Return in one sentence what failed first, of those comparisons that count."""
    failed = _failed(record)
    counted = [entry for entry in record.comparisons if entry.counts]
    where = " ".join(part for part in (failed[0].legs, failed[0].tier, failed[0].case, failed[0].what) if part)
    reasons = "; ".join(failed[0].reasons[:2])
    text = describe_divergence(record.divergence)
    begins = f"; {text}" if text else ""
    return f"{len(failed)} of {len(counted)} comparisons, first {where}: {failed[0].verdict}, {reasons}{begins}"


def render_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a line per model: its verdict, the figure nearest to its limit and its file, or why there is none."""
    table = [("model", "verdict", "exit", "nearest to its limit", "weights", "file")]
    for row in rows:
        code = str(row.get("code", 0))
        if "onnx" not in row:
            table.append((row["model"], row["verdict"], code, "", "", row["message"].splitlines()[0]))
            continue
        weights = f"untrained, {row['loaded']}" if row["untrained"] else row["loaded"]
        table.append((row["model"], row["verdict"], code, row["nearest"], weights, row["onnx"]))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in table
    )
