"""A record as one HTML file: everything in it, nothing fetched, no script."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .divergence import describe_divergence, draw_curve
from .pictures import count_pictures, draw_pictures
from .tables import by_share, pair_tables
from .text import decisions, leg_text, nearest_to_limit, notes_of
from .words import WORDS, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..gate.verify import Verification
    from .record import Record
    from .tables import Histogram

_TEMPLATES = Path(__file__).parent / "templates"
# Pictures take so many bytes and so many places at most: the whole stays below five megabytes.
_PICTURE_BYTES, _MOST_PICTURES = 2_500_000, 8
# Of a histogram, in pixels.
_WIDTH, _HEIGHT = 320, 72


def render_html(record: Record, verification: Verification, lang: str = "en") -> str:
    """Return a report as HTML.

    Args:
        record: What was compared.
        verification: What it was made from, for the images.
        lang: The language in which it opens, "en" or "zh"; both are in it.

    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def words(key: Any) -> Markup:  # noqa: ANN401
        """Return both languages of a key, one of which is shown; text without a translation as it is."""
        known: Words | None = WORDS.get(str(key))
        if known is None:
            return Markup("{}").format(key)
        return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh">{}</span>').format(*known)

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pairs = pair_tables(record)
    order = [
        (entry.legs, entry.case, entry.what)
        for entry in by_share(record, [entry for entry in record.comparisons if entry.tier == "decoded"])
    ]
    pictures = draw_pictures(verification, order[:_MOST_PICTURES], _PICTURE_BYTES)
    return environment.get_template("report.html.j2").render(
        record=record,
        lang=lang,
        t=words,
        nearest=nearest_to_limit(record),
        legs=[(name, leg, leg_text(leg)) for name, leg in record.legs.items()],
        failed=[entry for entry in record.comparisons if entry.verdict != "passed" and entry.counts],
        divergence=describe_divergence(record.divergence),
        curve=draw_curve(record.divergence, (_WIDTH, _HEIGHT)),
        notes=[*record.notes, *notes_of(record)],
        decisions=list(decisions(record)),
        pairs=pairs,
        bars=_bars,
        size=(_WIDTH, _HEIGHT),
        pictures=pictures,
        pictures_left=count_pictures(verification) - len(pictures),
    )


def _bars(histograms: Sequence[Histogram]) -> list[dict[str, Any]]:
    """Return the bars of histograms on one axis, as places: heights are logarithms of counts, lines are the limits."""
    drawn = [histogram for histogram in histograms if histogram.counts]
    limits = [[math.log2(limit) for limit in histogram.limits if 0 < limit < math.inf] for histogram in drawn]
    first = min((histogram.counts[0][0] for histogram in drawn), default=0) - 1
    ends = [histogram.counts[-1][0] for histogram in drawn] + [math.ceil(limit) for own in limits for limit in own]
    end = max(ends, default=1)
    most = max((count for histogram in drawn for _, count in histogram.counts), default=1)
    bar = _WIDTH / (end - first)
    found = []
    for histogram, own in zip(drawn, limits, strict=True):
        bars = []
        for exponent, count in histogram.counts:
            height = round(_HEIGHT * math.log1p(count) / math.log1p(most), 1)
            # The bar of exponent e holds differences from 2^(e-1) to 2^e.
            place = {"x": round((exponent - 1 - first) * bar, 1), "y": round(_HEIGHT - height, 1), "height": height}
            bars.append({**place, "exponent": exponent, "count": count})
        lines = [round((limit - first) * bar, 1) for limit in own]
        shown = {"bars": bars, "lines": lines, "bar": round(bar, 1) - 0.5}
        found.append({"of": histogram, "first": first, "end": end, **shown})
    return found
