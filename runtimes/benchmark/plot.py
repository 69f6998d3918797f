"""A plot of what was measured: how long batches took, a row for each setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .measure import Series, Setting

FORMATS = (".svg", ".png")
_ROW, _HEAD, _WIDTH = 0.45, 1.6, 8.0


def plot(path: Path, title: str, measured: Mapping[Setting, Series]) -> None:
    """Write a plot of the time of an image: box of the quartiles, median, whiskers to the 1st and 99th percentile.

    Args:
        path: .svg or .png.
        title: What was measured, where.
        measured: The laps of each setting.

    Raises:
        UsageError: matplotlib is not installed, or the ending is another.
        InputError: The file cannot be written.

    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: {path.suffix or 'no ending'} is not drawn", f"Known: {' '.join(FORMATS)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(f"matplotlib cannot be imported: {error}", "Install it: pip install 'cvport[plot]'") from error
    shown = {setting: series for setting, series in measured.items() if series.total}
    figure = Figure(figsize=(_WIDTH, _HEAD + _ROW * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    values = [[ms / setting.batch for ms in series.total] for setting, series in shown.items()]
    axes.boxplot(values, orientation="horizontal", whis=(1, 99), showfliers=False, widths=0.6, medianprops={"lw": 2})
    axes.set_yticks(range(1, len(shown) + 1), [label(setting) for setting in shown])
    for row, series in enumerate(values, 1):
        median = sorted(series)[len(series) // 2]
        axes.annotate(
            f"{1000 / median:.1f}/s", (1.005, row), xycoords=("axes fraction", "data"), va="center", fontsize=9
        )
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("ms of an image, from pixels to result")
    axes.set_title(title, fontsize=10, loc="left")
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Choose another place.") from error


def label(setting: Setting) -> str:
    """Return a setting in a few words."""
    threads = "" if setting.threads is None else f", {setting.threads} thread{'s' if setting.threads > 1 else ''}"
    return f"{setting.backend}, batch {setting.batch}{threads}"
