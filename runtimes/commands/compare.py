"""``cvrun compare``: the same images run two ways, stage by stage."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ...errors import InputError, ParityFailed, UsageError, did_you_mean
from ..backends.registry import BACKENDS, choose_backend
from ..kinds.registry import get_kind
from ..kinds.text import counted
from ..load import is_exported_file
from ..parity.compare import Comparison, compare_image, compare_results, limits_of
from ..parity.limits import figure_names, share_of_limit
from ..parity.stored import ENDINGS, StoredResults
from ..sinks.base import RunInfo
from ..sinks.output import Names, write_whole
from ..sources.registry import open_sources
from . import notes
from .console import progress_bar, set_verbosity, show_error
from .options import (
    SETTINGS,
    SectionedCommand,
    backend_options,
    download_options,
    model_options,
    open_predictor,
    option_group,
    setting_options,
    source_options,
    take_source_options,
    take_variant_options,
    verbosity_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..parity.compare import Pair
    from ..parity.limits import Limits
    from ..predictor import Predictor
    from ..sources.base import Item

_EXAMPLES = """\b
Examples:
  cvrun compare -m artifacts/yolox/yolox.onnx --backend onnx --against torch --weights yolox_nano.pth photos/
  cvrun compare -m yolox --against npu:0,production --weights yolox_nano.pth --save out/ photos/
  cvrun compare -m yolox --against other/yolox.onnx photos/
  cvrun compare -m yolox --against onnx:unoptimised,threads=1 photos/
  cvrun compare -m yolox --against found.json --json photos/     (stored results of cvrun, COCO, supervision)
"""
_ENDING = ".onnx"
_UNOPTIMISED, _THREADS = "unoptimised", "threads="

_comparison = option_group(
    "Comparison",
    click.option(
        "--against",
        required=True,
        metavar="LEG|FILE",
        help="What to compare with: a backend with its settings, as npu:1, npu:production or "
        "onnx:unoptimised,threads=1; another FILE.onnx; or results that were stored.",
    ),
    click.option(
        "--tolerance",
        "tolerances",
        multiple=True,
        metavar="OUT:FIGURE=X",
        help="Limit to use, such as cls_0:atol=1e-3 or decoded:px=0.5; may be repeated.",
    ),
    click.option("--save", type=click.Path(path_type=Path), metavar="DIR", help="Write images with both results."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
)


class _Leg(NamedTuple):
    """What is compared with: what to open otherwise than the first, or a file of results."""

    changes: dict[str, Any]
    stored: Path | None = None


@click.command(cls=SectionedCommand, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@_comparison
@model_options
@backend_options
@setting_options
@source_options
@download_options
@verbosity_options
def compare_command(
    *,
    sources: tuple[str, ...],
    backend: str,
    against: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Run images two ways, and name the first stage that differs: preprocessing, network or postprocessing.

    Limits are those of the parity.json beside the file, else defaults. Exit code 6 where anything is over its limit.
    """
    set_verbosity(quiet, verbose)
    networks = options["weights"] is not None or not is_exported_file(options["model"])
    name = choose_backend(backend, options["device"], networks=networks)
    leg = _parse_leg(against, name)
    if not sources:
        raise UsageError("no SOURCE", "Give files, folders or patterns: cvrun compare --against torch image.jpg")
    options["variant"], wanted = take_variant_options(options), take_source_options(options)
    with ExitStack() as stack:
        reference = stack.enter_context(open_predictor(name, options))
        measure, limits, lines = _measurer(stack, reference, leg, options)
        lines = [*notes.header(backend, reference, RunInfo.of(reference, {})), *lines]
        if not quiet:
            click.echo("\n".join([*dict.fromkeys(lines), f"limits: {limits.decoded.derived}"]), err=True)
        comparison = _run(open_sources(sources, wanted), measure, limits, quiet, options["save"])
    kind = get_kind(reference.spec.kind)
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_table(comparison, kind, verbose)))
    if comparison.verdict != "passed":
        count = sum(pair.verdict != "passed" for pair in comparison.pairs)
        where = f", first in the {comparison.stage}" if comparison.stage else ""
        raise ParityFailed(f"{count} of {counted(len(comparison.pairs), 'image')} differ{where}", "")
    return InputError.exit_code if comparison.errors else 0


def _parse_leg(text: str, reference: str) -> _Leg:
    """Return what ``--against`` means.

    Raises:
        UsageError: There is no such leg or setting.
        BackendError: The backend is not available.

    """
    ending = Path(text).suffix.lower()
    if ending == _ENDING:
        return _Leg({"model": text, "backend": reference})
    if ending in ENDINGS:
        return _Leg({}, Path(text))
    name, _, rest = text.partition(":")
    if name not in BACKENDS:
        raise UsageError(f"there is nothing called {text!r} to compare with", did_you_mean(name, BACKENDS))
    changes: dict[str, Any] = {"backend": name, "device": None, "precision": None, "providers": None}
    devices = []
    for word in filter(None, rest.split(",")):
        if word == _UNOPTIMISED:
            changes["optimised"] = False
        elif word.startswith(_THREADS) and word.removeprefix(_THREADS).isdecimal() and int(word[len(_THREADS) :]):
            changes["threads"] = int(word.removeprefix(_THREADS))
        elif word in BACKENDS[name].precisions:
            changes["precision"] = word
        else:
            devices.append(word)
    if len(devices) > 1:
        raise UsageError(f"--against {text}: {', '.join(devices)} are several devices", "Name one.")
    if devices:
        changes["device"] = f"npu:{devices[0]}" if name == "npu" and devices[0].isdecimal() else devices[0]
        if changes["device"].partition(":")[0] not in BACKENDS[name].devices:
            known = [*BACKENDS[name].precisions, *BACKENDS[name].devices, _UNOPTIMISED, f"{_THREADS}N"]
            raise UsageError(f"--against {text}: there is no setting {devices[0]!r}", f"Known: {', '.join(known)}.")
    choose_backend(name, changes["device"])
    return _Leg(changes)


def _measurer(
    stack: ExitStack, reference: Predictor, leg: _Leg, options: dict[str, Any]
) -> tuple[Callable[[Item], Pair], Limits, list[str]]:
    """Return how an image is compared, what may differ, and what to say before."""
    tolerances = options["tolerances"]
    if leg.stored is not None:
        stored = StoredResults(leg.stored, reference.spec, reference.labels)
        limits = limits_of(reference, reference, tolerances)
        made = ", ".join(f"{name} {value}" for name, value in stored.made_with.items())
        lines = [f"{leg.stored} was made with {made}"] if made else []
        return lambda item: _with_stored(reference, stored, item, limits), limits, lines
    changes = dict(leg.changes)
    backend, model = changes.pop("backend"), changes.pop("model", options["model"])
    candidate = stack.enter_context(open_predictor(backend, {**options, "model": model}, **changes))
    limits = limits_of(reference, candidate, tolerances)
    lines = notes.header("", candidate, RunInfo.of(candidate, {}))
    return lambda item: _with_predictor(reference, candidate, item, limits), limits, lines


def _with_predictor(reference: Predictor, candidate: Predictor, item: Item, limits: Limits) -> Pair:
    assert item.image is not None
    return compare_image(reference, candidate, item.name, item.image, limits)


def _with_stored(reference: Predictor, stored: StoredResults, item: Item, limits: Limits) -> Pair:
    """Compare what a file says of an image with what is found in it now; the file is taken for right."""
    assert item.image is not None
    expected = stored.of(item)
    return compare_results(get_kind(reference.spec.kind), item.name, (expected, reference(item.image)), limits)


def _run(
    source: Any,  # noqa: ANN401
    measure: Callable[[Item], Pair],
    limits: Limits,
    quiet: bool,
    save: Path | None,
) -> Comparison:
    """Compare every image that can be read; what cannot is told and does not stop the others."""
    pairs, errors = [], []
    names = None if save is None else Names(save)
    with progress_bar(source.total, quiet) as bar:
        for item in source:
            loaded = item.loaded()
            try:
                if loaded.image is None:
                    raise loaded.error or InputError(f"{loaded.name} gives no image")
                pair = measure(loaded)
                if names is not None:
                    _save(names, loaded, pair)
                pairs.append(pair)
            except InputError as error:
                errors.append((loaded.name, error))
                show_error(error, loaded.name)
            bar.advance()
    return Comparison(tuple(pairs), limits, tuple(errors))


def _save(names: Names, item: Item, pair: Pair) -> None:
    """Write an image with both results."""
    import cv2

    from ..parity.overlay import overlay

    assert item.image is not None
    path = names.take(f"{Path(item.name).stem}_compared", ".png")
    write_whole(path, cv2.imencode(".png", overlay(item.image, pair))[1].tobytes())


def _table(comparison: Comparison, kind: Any, verbose: bool) -> list[str]:  # noqa: ANN401
    """Return the verdict, what is nearest to its limit, and a line for each image."""
    lines = []
    for pair in comparison.pairs:
        cells = [column.form.format(**_numbers(pair.figures)) for column in kind.table] if pair.stats else []
        titled = "  ".join(f"{column.title} {cell}" for column, cell in zip(kind.table, cells, strict=False))
        stage = f" ({pair.stage})" if pair.stage else ""
        lines.append(f"{pair.source}  {pair.verdict}{stage}  {titled}".rstrip())
        lines += [f"  {reason}" for reason in pair.reasons[: None if verbose else 3]]
        lines += [f"  borderline: {text}" for text in pair.borderline] if verbose else []
        lines += [f"  {_row(row)}" for row in pair.rows] if verbose else []
    count = counted(len(comparison.pairs), "image")
    nearest = _nearest(comparison, kind)
    lines.append(f"{comparison.verdict}: {count}{f'; nearest to its limit: {nearest}' if nearest else ''}")
    return lines


def _nearest(comparison: Comparison, kind: Any) -> str:  # noqa: ANN401
    """Return the figure that takes the largest share of its limit."""
    found = []
    for pair in comparison.pairs:
        for name, figures in pair.figures.get("network", {}).items():
            found.append((figures["max_abs"], figures["limit"], f"{name} max abs", "max_abs", pair.source))
        for name in figure_names(comparison.limits.decoded) if pair.stats else ():
            figure = pair.figures[kind.bounds[name]]
            found.append((figure, getattr(comparison.limits.decoded, name), f"result {name}", name, pair.source))
    shares = [(share_of_limit(key, figure, limit), entry) for entry in found for figure, limit, _, key, _ in (entry,)]
    if not shares:
        return ""
    share, (figure, limit, what, _, source) = max(shares, key=lambda pair: pair[0])
    return f"{what} {figure:.3g} of {limit:.3g} ({share:.0%}), {source}"


def _row(row: Mapping[str, Any]) -> str:
    return "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
    )


def _numbers(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not isinstance(value, dict)}
