"""``cvrun bench``: how fast a model runs here, in one setting or in several side by side."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, UsageError
from ..arrangement import available_cores
from ..backends.registry import choose_backend
from ..benchmark.machine import machine, peak_memory_mb
from ..benchmark.measure import MOST, Setting, measure
from ..benchmark.pictures import synthetic
from ..benchmark.plot import plot
from ..kinds.text import counted, padded
from ..load import is_exported_file
from ..sinks.base import SCHEMA_VERSION, RunInfo
from ..sinks.output import write_whole
from ..sources.registry import open_sources
from . import notes
from .console import INTERRUPTED, progress_bar, set_verbosity, show_error
from .options import (
    SETTINGS,
    SectionedCommand,
    download_options,
    model_options,
    open_predictor,
    setting_options,
    source_options,
    take_source_options,
    take_variant_options,
    verbosity_options,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..benchmark.measure import Series
    from ..predictor import Predictor
    from ..sources.base import SourceOptions

_EXAMPLES = """\b
Examples:
  cvrun bench
  cvrun bench -m artifacts/yolox/yolox.onnx --batch 1,4,8 photos/
  cvrun bench --backend onnx,torch --weights yolox_nano.pth --plot speed.svg
  cvrun bench --sweep threads,batch -o benchmark.json
"""
_PICTURES = 20
_SWEPT = ("threads", "batch")
_BATCHES = (1, 2, 4, 8)
# A machine that does so much besides has other times at every try.
_BUSY = 0.5


def _numbers(_context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of a list with commas."""
    if text is None:
        return None
    numbers = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in numbers):
        raise UsageError(f"{option.opts[0]} {text} is no list of numbers", f"For example {option.opts[0]} 1,4,8")
    return tuple(dict.fromkeys(map(int, numbers)))


@click.command(cls=SectionedCommand, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@model_options
@click.option("--backend", default="auto", show_default=True, metavar="A[,B]", help="Backends, measured in turns.")
@click.option("--device", metavar="NAME", help="Device, such as cpu, cuda:0 or npu:0; else the backend's default.")
@click.option("--precision", metavar="NAME", help="Precision of the NPU: strict (the default), production or fp16.")
@click.option("--batch", callback=_numbers, metavar="N[,N]", help="Images that run together.")
@click.option("--threads", callback=_numbers, metavar="N[,N]", help="CPU threads of the network.")
@click.option("--sweep", metavar="threads,batch", help="Measure a grid of these: all cores and halves, batches to 8.")
@click.option("--iters", type=click.IntRange(min=1), help="Runs of each setting; else until the time is stable.")
@click.option("--synthetic", "count", type=click.IntRange(min=1), help="Measure on so many pictures of a fixed seed.")
@click.option("--plot", "drawing", type=click.Path(path_type=Path), metavar="FILE", help="Draw it: .svg or .png.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the JSON document too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@setting_options
@source_options
@download_options
@verbosity_options
def bench(
    *,
    sources: tuple[str, ...],
    backend: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Measure how fast a model runs: on SOURCEs, read beforehand, or on pictures of a fixed seed."""
    set_verbosity(quiet, verbose)
    networks = options["weights"] is not None or not is_exported_file(options["model"])
    several = "," in backend
    names = [
        choose_backend(name.strip(), None if several else options["device"], networks=networks)
        for name in backend.split(",")
    ]
    options["variant"], wanted = take_variant_options(options), take_source_options(options)
    images = _images(sources, wanted, options["count"])
    here = machine()
    with ExitStack() as stack:
        predictors = {}
        for setting in _settings(names, options):
            own = {"threads": setting.threads, "batch_size": setting.batch}
            predictors[setting] = stack.enter_context(open_predictor(setting.backend, options, **own))
        if not quiet:
            _say(backend, predictors, here)
        with progress_bar(len(predictors) * (options["iters"] or MOST), quiet) as bar:
            measured = measure(predictors, images, laps=options["iters"], after=bar.advance)
        pictures = {"kind": "sources" if sources else "synthetic", "count": len(images)}
        document = _document(predictors, measured.series, here, pictures)
        click.echo(json.dumps(document, indent=2) if as_json else "\n".join(_table(document)))
        if options["output"] is not None:
            write_whole(options["output"], (json.dumps(document, indent=2) + "\n").encode())
        if options["drawing"] is not None and document["measured"]:
            first = next(iter(predictors.values()))
            plot(
                options["drawing"],
                f"{first.spec.name}, {here['processor']}, {counted(here['cores'], 'core')}",
                measured.series,
            )
    return INTERRUPTED if measured.interrupted else 0


def _settings(names: Sequence[str], options: Mapping[str, Any]) -> list[Setting]:
    """Return what is measured, in the order of the table.

    Raises:
        UsageError: Something is swept that cannot be.

    """
    swept = [] if options["sweep"] is None else [name.strip() for name in options["sweep"].split(",")]
    unknown = [name for name in swept if name not in _SWEPT]
    if unknown:
        raise UsageError(f"--sweep {', '.join(unknown)} cannot be swept", f"Known: {', '.join(_SWEPT)}")
    cores = available_cores()
    grid = sorted({cores, *(2**power for power in range(cores.bit_length()) if 2**power <= cores)})
    threads: Sequence[int | None] = options["threads"] or (grid if "threads" in swept else [None])
    batches = options["batch"] or (_BATCHES if "batch" in swept else (1,))
    return [Setting(name, batch, count) for name in dict.fromkeys(names) for count in threads for batch in batches]


def _images(words: Sequence[str], wanted: SourceOptions, count: int | None) -> list[NDArray[np.uint8]]:
    """Return the pictures to measure on.

    Raises:
        UsageError: Both are asked for.
        InputError: No source can be read.

    """
    if words and count is not None:
        raise UsageError("--synthetic draws the pictures, SOURCE names others", "Give one of them.")
    if not words:
        return synthetic(count or _PICTURES)
    images = []
    for item in open_sources(words, wanted):
        loaded = item.loaded()
        if loaded.image is not None:
            images.append(loaded.image)
        elif loaded.error is not None:
            show_error(loaded.error, item.name)
    if not images:
        raise InputError("no picture can be read", "Name others, or leave SOURCE out.")
    return images


def _say(asked: str, predictors: Mapping[Setting, Predictor], here: Mapping[str, Any]) -> None:
    """Tell what is measured under which assumptions, and whether the machine does much else."""
    lines = [
        line for predictor in predictors.values() for line in notes.header(asked, predictor, RunInfo.of(predictor, {}))
    ]
    if here["load"] is not None and here["load"] > _BUSY * here["cores"]:
        lines.append(f"note: this machine is busy (load {here['load']}), times will vary")
    for line in dict.fromkeys(lines):
        click.echo(line, err=True)


def _document(
    predictors: Mapping[Setting, Predictor],
    measured: Mapping[Setting, Series],
    here: Mapping[str, Any],
    pictures: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the JSON form of what was measured."""
    first = next(iter(predictors.values()))
    seal = first.seal
    rows = [_row(setting, predictors[setting], series) for setting, series in measured.items() if series.total]
    for row in rows:
        row["speed_up"] = round(row["images_per_second"] / rows[0]["images_per_second"], 3)
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": first.spec.name,
        "file": None if seal is None else seal.digest,
        "weights": None if seal is None else seal.weights.get("sha256"),
        **({"untrained": True} if first.untrained else {}),
        "pictures": dict(pictures),
        "machine": dict(here),
        "peak_memory_mb": peak_memory_mb(),
        "measured": rows,
    }


def _row(setting: Setting, predictor: Predictor, series: Series) -> dict[str, Any]:
    summary = series.summary()
    stages = dict(zip(("preprocess", "network", "postprocess"), series.stage_means(), strict=True))
    return {
        **setting._asdict(),
        "device": predictor.backend.device,
        "precision": predictor.backend.precision,
        **({"simulated": True} if predictor.backend.settings.get("simulated") else {}),
        "runs": len(series.total),
        "stable": series.stable,
        "batch_ms": {name: round(value, 4) for name, value in summary.to_dict().items()},
        "images_per_second": round(1000 * setting.batch / summary.mean, 3),
        "stages_ms": {name: round(value, 4) for name, value in stages.items()},
    }


def _table(document: Mapping[str, Any]) -> list[str]:
    """Return what was measured as lines for people."""
    here, rows = document["machine"], document["measured"]
    columns: list[list[str]] = [
        ["backend", *(f"{row['backend']} {row['device']}" for row in rows)],
        ["threads", *("-" if row["threads"] is None else str(row["threads"]) for row in rows)],
        ["batch", *(str(row["batch"]) for row in rows)],
        ["mean ms", *(f"{row['batch_ms']['mean']:.2f} +- {row['batch_ms']['std']:.2f}" for row in rows)],
        *([name, *(f"{row['batch_ms'][name.lower()]:.2f}" for row in rows)] for name in ("P50", "P90", "P95", "P99")),
        ["images/s", *(f"{row['images_per_second']:.1f}" for row in rows)],
        ["pre + network + post ms", *(" + ".join(f"{ms:.2f}" for ms in row["stages_ms"].values()) for row in rows)],
        ["speed-up", *(f"{row['speed_up']:.2f}x" for row in rows)],
        ["runs", *(str(row["runs"]) + ("" if row["stable"] else ", not stable") for row in rows)],
    ]
    note = "  (untrained weights)" if document.get("untrained") else ""
    pictures = document["pictures"]
    return [
        f"{document['model']} on {here['processor']}, {counted(here['cores'], 'core')}; "
        f"{counted(pictures['count'], 'picture')} ({pictures['kind']}){note}",
        *("  ".join(cells).rstrip() for cells in zip(*map(padded, columns), strict=True)),
        f"peak memory of the process {document['peak_memory_mb']} MiB",
    ]
