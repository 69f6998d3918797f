"""Measures what cvport promises about speed, prints a table a section, writes everything as JSON.

    PYTHONPATH=tests python -m bench [--quick] [--json bench.json]
        [stages] [models] [forms] [npu] [peers] [cold] [streams] [export]

Needs the ``dev`` extra and rtmlib 0.0.15 (``pip install --no-deps rtmlib==0.0.15``); ``make bench`` brings both.
It measures and does not judge: the exit code is 0 whether targets are met or not.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cvport.errors import CvportError

from .figures import Row, Section

_SECTIONS = {
    "stages": ".stages:measure_stages",
    "models": ".models:measure_models",
    "forms": ".forms:measure_forms",
    "npu": ".npu:measure_npu",
    "peers": ".peers:measure_peers",
    "cold": ".cold:measure_cold",
    "streams": ".streams:measure_streams",
    "export": ".exporting:measure_export",
}
# Of a table that is not printed to a terminal.
_WIDTH = 140
_PACKAGES = (
    "cvport",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "torch",
    "onnx",
    "onnxscript",
    "onnxsim",
    "rtmlib",
    "scikit-image",
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("sections", nargs=-1, type=click.Choice(list(_SECTIONS)))
@click.option("--quick", is_flag=True, help="Fewer runs.")
@click.option("--json", "path", type=click.Path(path_type=Path), default="bench.json", show_default=True)
def main(sections: tuple[str, ...], quick: bool, path: Path) -> None:
    """Measure cvport's speed; all SECTIONS if none is named."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    record: dict[str, Any] = {"quick": quick, "environment": environment(), "sections": {}}
    for name in sections or _SECTIONS:
        with console.status(f"measuring {name}") if console.is_terminal else console.capture():
            before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
            module, _, function = _SECTIONS[name].partition(":")
            section = _measure(getattr(importlib.import_module(module, __package__), function), quick)
        show(console, section)
        record["sections"][name] = {**section.to_dict(), "load_before": before}
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    missed = [row["what"] for part in record["sections"].values() for row in part["rows"] if row["met"] is False]
    console.print(f"{len(missed)} targets missed{': ' if missed else ''}{'; '.join(missed)}", highlight=False)
    console.print(f"written to {path}", highlight=False)


def _measure(function: Callable[[bool], Section], quick: bool) -> Section:
    """Return the section, or an empty one that says why it could not be measured."""
    try:
        return function(quick)
    except CvportError as error:
        return Section("not measured", [], [f"{type(error).__name__}: {error}"])


def show(console: Console, section: Section) -> None:
    """Print a section."""
    table = Table(title=section.title, title_justify="left", title_style="bold")
    for heading in ("what", "against"):
        table.add_column(heading)
    for heading in ("against ms", "own ms", "ratio (quartiles)", "target", "met"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in section.rows:
        table.add_row(*_cells(row, section.percent))
    console.print(table)
    for note in section.notes:
        console.print(f"  {note}", highlight=False)
    for name, figures in section.details.items():
        listed = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
        console.print(f"  {name}: {listed}", highlight=False)


def _cells(row: Row, percent: bool) -> tuple[str, ...]:
    def ratio(value: float) -> str:
        return f"{value:.1%}" if percent else f"{value:.2f}"

    low, high = row.quartiles
    met = {True: "yes", False: "[red]no[/red]", None: ""}[row.met]
    return (
        row.what,
        row.against,
        f"{row.against_ms:.2f}",
        f"{row.own_ms:.2f}",
        f"{ratio(row.ratio)} ({ratio(low)} .. {ratio(high)})",
        "" if row.target is None else ratio(row.target),
        met,
    )


def environment() -> dict[str, Any]:
    """Return what the figures were measured on."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


if __name__ == "__main__":
    main()
