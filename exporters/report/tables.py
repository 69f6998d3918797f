"""A record as tables: what a report shows as HTML and as text, worst first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...runtimes.parity.limits import share_of_limit
from .text import kind_of, limits_of, rank, share_of, worst_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .record import Entry, Record

# Tables of items that are shown whole, the worst first, and rows of each.
_MOST_TABLES, _MOST_ROWS = 6, 100
# Totals of so many rows: those of all together come first.
_MOST_TOTALS = 100
_OUTPUT_COLUMNS = ("output", "case", "max_abs", "mean_abs", "p999_abs", "cosine", "limit", "headroom", "verdict")


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes:
        title: What it is about; empty where the place says it.
        columns: Keys of its headings.
        rows: As many cells each.
        left: Rows that are not shown.

    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 0


@dataclass(frozen=True)
class Histogram:
    """How many values of an output differ by how much.

    Attributes:
        output: Its name.
        counts: By power of two, the smallest first, without gaps: (exponent, count).
        equal: Values that do not differ.
        limits: The strictest and the widest limit of the cases.

    """

    output: str
    counts: tuple[tuple[int, int], ...]
    equal: int
    limits: tuple[float, float]


@dataclass(frozen=True)
class PairTables:
    """Everything about two legs that were compared.

    Attributes:
        legs: Such as "torch-onnx".
        verdict: Of all their comparisons.
        counts: Whether it decides the verdict of the whole.
        derived: How the limit of each output came about, of the worst case: (output, text).
        outputs: The worst case of each output.
        histograms: Of each output.
        decoded: A row for each image.
        totals: Of all images together.
        items: A table for each image, the worst first.
        left: Images whose items are not shown.

    """

    legs: str
    verdict: str
    counts: bool
    derived: tuple[tuple[str, str], ...]
    outputs: Table
    histograms: tuple[Histogram, ...]
    decoded: Table
    totals: Table
    items: tuple[Table, ...]
    left: int


def pair_tables(record: Record) -> list[PairTables]:
    """Return the tables of every pair of legs that was compared."""
    return [
        _tables_of(record, f"{first}-{name}", name)
        for name, leg in record.legs.items()
        for first in leg.against
        if any(entry.legs == f"{first}-{name}" for entry in record.comparisons)
    ]


def _tables_of(record: Record, legs: str, leg: str) -> PairTables:
    chosen = [entry for entry in record.comparisons if entry.legs == legs]
    tensors = [entry for entry in chosen if entry.tier == "tensors"]
    decoded = by_share(record, [entry for entry in chosen if entry.tier == "decoded"])
    names = list(dict.fromkeys(entry.what for entry in tensors))
    worst = [
        max((entry for entry in tensors if entry.what == name), key=lambda entry: rank(share_of(record, entry)))
        for name in names
    ]
    kind = kind_of(record)
    rows = [row for entry in decoded for row in entry.rows]
    shown = [entry for entry in decoded if entry.rows]
    items = [_items(f"{entry.case} ({entry.what})", entry.rows) for entry in shown[:_MOST_TABLES]]
    return PairTables(
        legs=legs,
        verdict=worst_of([entry.verdict for entry in chosen]),
        counts=record.legs[leg].counts,
        derived=tuple((entry.what, _derived(record, entry, leg)) for entry in worst),
        outputs=_outputs(record, worst, tensors),
        histograms=tuple(_histogram(record, name, tensors) for name in names),
        decoded=_decoded(record, decoded, leg),
        totals=_items("", kind.totals(rows), _MOST_TOTALS),
        items=tuple(items),
        left=len(shown) - len(items),
    )


def by_share(record: Record, entries: Sequence[Entry]) -> list[Entry]:
    """Return decoded comparisons, those first that take the largest share of a limit."""
    bounds = kind_of(record).bounds

    def share(entry: Entry) -> tuple[bool, float]:
        limits = limits_of(record, entry)
        shares = (
            rank(share_of_limit(name, float(entry.figures[bounds[name]]), float(limit)))
            for name, limit in limits.items()
        )
        return entry.verdict != "passed", max(shares, default=0.0)

    return sorted(entries, key=share, reverse=True)


def _outputs(record: Record, worst: Sequence[Entry], tensors: Sequence[Entry]) -> Table:
    """Return the worst case of each output."""
    rows = []
    for entry in worst:
        limit, share = float(limits_of(record, entry)["max_abs"]), rank(share_of(record, entry))
        figures = entry.figures
        verdict = worst_of([other.verdict for other in tensors if other.what == entry.what])
        rows.append(
            (
                entry.what,
                entry.case,
                *(f"{float(figures[name]):.2e}" for name in ("max_abs", "mean_abs", "p999_abs")),
                f"{float(figures['cosine']):.9f}",
                f"{limit:.2e}",
                f"{1 / share:.3g}x" if share else "all of it",
                verdict,
            )
        )
    return Table("", _OUTPUT_COLUMNS, tuple(rows))


def _derived(record: Record, entry: Entry, leg: str) -> str:
    """Return how the limit of an output came about: in its case, or of its leg where only that is recorded."""
    limits = record.legs[leg].limits.get("tensors", {}).get(entry.what, {})
    if "torch" in record.legs and leg != "torch":
        case = next((case for case in record.cases if case.get("name") == entry.case), {})
        own = case.get("limits", {}).get("tensors", {}).get(entry.what, {})
        limits = own if leg == "onnx" and own else limits
    return str(limits.get("derived", ""))


def _histogram(record: Record, output: str, tensors: Sequence[Entry]) -> Histogram:
    """Return the histogram of an output over all cases."""
    counts: Counter[str] = Counter()
    limits = []
    for entry in tensors:
        if entry.what == output:
            counts.update(entry.histogram)
            limits.append(float(limits_of(record, entry)["max_abs"]))
    exponents = sorted(int(name) for name in counts if name not in ("equal", "nan"))
    filled = range(exponents[0], exponents[-1] + 1) if exponents else range(0)
    bars = tuple((exponent, counts[str(exponent)]) for exponent in filled)
    return Histogram(output, bars, counts["equal"], (min(limits), max(limits)))


def _decoded(record: Record, entries: Sequence[Entry], leg: str) -> Table:
    """Return a row for each image, with the columns of its kind of result, and one of the limits."""
    columns = kind_of(record).table
    rows = []
    for entry in entries:
        figures = {name: _number(value) for name, value in entry.figures.items()}
        cells = [column.form.format(**figures) for column in columns]
        rows.append((f"{entry.case} ({entry.what})", *cells, entry.verdict))
    limits = {name: _number(value) for name, value in record.legs[leg].limits.get("decoded", {}).items()}
    if limits:
        rows.append(("limits", *(column.limit.format(**limits) for column in columns), ""))
    return Table("", ("image", *(column.title for column in columns), "verdict"), tuple(rows))


def _items(title: str, rows: Sequence[Mapping[str, Any]], most: int = _MOST_ROWS) -> Table:
    """Return rows of figures as text; their keys are the headings."""
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    cells = tuple(tuple(cell(row.get(name, "")) for name in columns) for row in rows[:most])
    return Table(title, columns, cells, max(0, len(rows) - most))


def cell(value: Any) -> str:  # noqa: ANN401
    """Return a figure as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> Any:  # noqa: ANN401
    return float(value) if value in ("nan", "inf", "-inf") else value
