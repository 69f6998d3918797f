"""``cvrun eval``: how good a model's results are against truth, on one backend or on several side by side."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ...errors import InputError, UsageError
from ..backends.registry import BACKENDS, choose_backend
from ..evaluate.base import Request
from ..evaluate.matching import some
from ..evaluate.registry import get_evaluation
from ..evaluate.run import collect
from ..evaluate.tables import difference, figure_lines, row_lines
from ..kinds.text import counted
from ..load import is_exported_file
from ..sinks.base import SCHEMA_VERSION, RunInfo
from . import notes
from .console import ErrorSink, progress_bar, set_verbosity, show_error
from .options import (
    SETTINGS,
    SectionedCommand,
    backend_options,
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

    from ..evaluate.base import Evaluation, Score, Truth
    from ..predictor import Predictor
    from ..sinks.base import Failure

_EXAMPLES = """\b
Examples:
  cvrun eval --annotations instances_val.json val/
  cvrun eval -m artifacts/yolox/yolox.onnx --annotations truth.json --json val/ > figures.json
  cvrun eval --backend onnx,torch --weights yolox_nano.pth --annotations truth.json val/
  cvrun eval -m emotion faces/                               (faces/happy/1.jpg, faces/sad/2.jpg ...)
  cvrun eval -m hand_static --annotations labels.csv hands/  (lines of file,label)
  cvrun eval -m landmarks68 -v ibug/                         (image.png with image.pts beside it)
"""
# The parameters that options set, where an evaluation has others than the model.
_SET_BY = {"score_threshold": "conf", "max_detections": "max_det"}


class _Run(NamedTuple):
    """What is the same for the whole command."""

    evaluation: Evaluation
    truth: Truth
    predictors: Mapping[str, Predictor]
    options: Mapping[str, Any]
    quiet: bool

    @property
    def first(self) -> Predictor:
        """The predictor that the others are compared with."""
        return next(iter(self.predictors.values()))


class _Outcome(NamedTuple):
    """What the command says."""

    scores: dict[str, Score]
    scored: int
    failures: list[Failure]
    notes: list[str]


@click.command(cls=SectionedCommand, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="Truth: a COCO dataset for detections; file,label lines for classes, else the folders' names are the labels; "
    "a folder of .pts files for landmarks, else those beside the images.",
)
@model_options
@backend_options
@setting_options
@click.option("--cropped", is_flag=True, help="Each image is one face: the whole image is used, not the points' box.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Maximum number of images run together.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@source_options
@download_options
@verbosity_options
def evaluate(
    *,
    sources: tuple[str, ...],
    backend: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Measure how good a model's results are: images, their truth, and the figures of the field.

    Several backends, as in --backend onnx,torch, are shown side by side. -v adds the figures of each class.
    """
    set_verbosity(quiet, verbose)
    names = options["chosen"] = _choose_backends(backend, options)
    if not sources:
        raise UsageError("no SOURCE", "Give the images: cvrun eval --annotations FILE images/")
    options["variant"], wanted = take_variant_options(options), take_source_options(options)
    with ExitStack() as stack:
        predictors = {name: stack.enter_context(_open(name, options)) for name in names}
        first = predictors[names[0]]
        if options["cropped"] and not first.spec.takes_boxes:
            raise UsageError(f"{first.spec.name} looks at whole images, not at faces", "Leave out --cropped.")
        evaluation = get_evaluation(first.spec.kind)
        for predictor in predictors.values():
            _use_settings(evaluation, predictor, options)
        request = Request(
            first.spec, first.labels, sources, options["annotations"], wanted, first.classes, options["cropped"]
        )
        run = _Run(evaluation, evaluation.read(request), predictors, options, quiet)
        _say_notes(backend, run)
        outcome = _measure(run)
        if not quiet:
            _say(outcome.notes)
        click.echo("\n".join(_document(run, outcome) if as_json else _table(run, outcome, verbose)))
    return InputError.exit_code if outcome.failures else 0


def _choose_backends(given: str, options: Mapping[str, Any]) -> list[str]:
    """Return the backends of a comma-separated list, each available.

    Raises:
        UsageError: One is named twice.
        BackendError: One is not available.

    """
    networks = options["weights"] is not None or not is_exported_file(options["model"])
    asked = [name.strip() for name in given.split(",")]
    several = len(asked) > 1
    names = [choose_backend(name, None if several else options["device"], networks=networks) for name in asked]
    if len(set(names)) < len(names):
        raise UsageError(f"--backend {given} means {', '.join(names)}", "Name each backend once.")
    if several:
        _check_shared(names, options)
    return names


def _check_shared(names: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse a device or precision that none of several backends has."""
    for option in ("device", "precision"):
        if options[option] is not None and not any(_own(name, options)[option] for name in names):
            raise UsageError(f"none of {', '.join(names)} has the {option} {options[option]}", "Leave it out.")


def _own(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the device and the precision as far as they are those of one of several backends."""
    entry, device, precision = BACKENDS[name], options["device"], options["precision"]
    return {
        "device": device if device and device.partition(":")[0] in entry.devices else None,
        "precision": precision if precision in entry.precisions else None,
    }


def _open(name: str, options: dict[str, Any]) -> Predictor:
    own = _own(name, options) if len(options["chosen"]) > 1 else {}
    return open_predictor(name, options, batch_size=options["batch_size"], **own)


def _use_settings(evaluation: Evaluation, predictor: Predictor, options: Mapping[str, Any]) -> None:
    """Set what the evaluation needs otherwise than the model has it, where the user says nothing."""
    given = {name for name, option in _SET_BY.items() if options[option] is not None}
    predictor.adjust({name: value for name, value in evaluation.settings.items() if name not in given})


def _say_notes(asked: str, run: _Run) -> None:
    """Tell what was assumed and left out, and which images are missing."""
    truth = run.truth
    lines = [line for predictor in run.predictors.values() for line in notes.header(asked, predictor, _info(predictor))]
    if not run.quiet:
        for line in dict.fromkeys(lines):
            click.echo(line, err=True)
        _say(truth.notes)
    if truth.skipped and not run.quiet:
        _say([f"{counted(len(truth.skipped), 'image')} without truth skipped: {some(truth.skipped)}"])
    told = len(truth.failures) - truth.missing
    for failure in truth.failures[:told]:
        show_error(failure.error, failure.source)
    if truth.missing:
        names = [failure.source for failure in truth.failures[told:]]
        verb = "is" if truth.missing == 1 else "are"
        text = f"{counted(truth.missing, 'annotated image')} {verb} not among the sources: {some(names)}"
        show_error(InputError(text, "The figures leave them out."))


def _say(told: Sequence[str]) -> None:
    for note in told:
        click.echo(f"note: {note}", err=True)


def _info(predictor: Predictor) -> RunInfo:
    return RunInfo.of(predictor, {})


def _measure(run: _Run) -> _Outcome:
    """Run every backend on the images, and score those that all of them could use."""
    items, failures = list(run.truth.items), list(run.truth.failures)
    results: dict[str, dict[str, Any]] = {}
    resized: dict[str, None] = {}
    for name, predictor in run.predictors.items():
        batch_size = run.options["batch_size"] or predictor.spec.batch_size
        with progress_bar(len(items), run.quiet) as bar:
            collected = collect(
                run.truth,
                items,
                predictor,
                [ErrorSink(bar)],
                batch_size=batch_size,
                workers=2,
                after=lambda _item: bar.advance(),
            )
        failures += collected.failures
        resized |= dict.fromkeys(collected.resized)
        items = [item for item in items if item.name in collected.results]
        results[name] = collected.results
    names = [item.name for item in items]
    scores = {
        backend: run.evaluation.score(run.truth, {name: found[name] for name in names})
        for backend, found in results.items()
        if names
    }
    told = [f"annotated with another size, boxes may not fit: {some(list(resized))}"] if resized else []
    return _Outcome(scores, len(names), failures, told)


def _settings(run: _Run) -> dict[str, Any]:
    """Return the parameters that the figures depend on."""
    return {name: getattr(run.first.postprocess_params, name) for name in run.evaluation.told}


def _table(run: _Run, outcome: _Outcome, verbose: bool) -> list[str]:
    """Return what people read."""
    parts = [run.first.spec.name, counted(outcome.scored, "image")]
    if outcome.failures:
        parts.append(f"{counted(len(outcome.failures), 'other')} could not be evaluated")
    parts += [f"{name} {value}" for name, value in _settings(run).items()]
    lines = [", ".join(parts)]
    if run.first.untrained:
        lines.append("untrained weights: the figures mean nothing")
    if outcome.scores:
        lines += ["", *figure_lines(run.evaluation, outcome.scores)]
    for name, score in outcome.scores.items() if verbose else ():
        for block in (row_lines(run.evaluation, score), run.evaluation.details(score)):
            lines += ["", *([name] if len(outcome.scores) > 1 else []), *block] if block else []
    return lines


def _document(run: _Run, outcome: _Outcome) -> list[str]:
    """Return the JSON document."""
    spec, annotations = run.first.spec, run.options["annotations"]
    content = {
        "schema_version": SCHEMA_VERSION,
        "model": spec.name,
        "kind": spec.kind,
        "annotations": None if annotations is None else str(annotations),
        **({"untrained": True} if run.first.untrained else {}),
        "settings": _settings(run),
        "images": {
            "scored": outcome.scored,
            "skipped": len(run.truth.skipped),
            "missing": run.truth.missing,
            "errors": len(outcome.failures),
        },
        "backends": [_entry(run, outcome, name) for name in outcome.scores],
        "notes": [*run.truth.notes, *outcome.notes],
        "errors": [failure.to_dict() for failure in outcome.failures],
    }
    return [json.dumps(content, indent=2, ensure_ascii=False)]


def _entry(run: _Run, outcome: _Outcome, name: str) -> dict[str, Any]:
    """Return the JSON form of what one backend scores."""
    info, score = _info(run.predictors[name]), outcome.scores[name]
    first = next(iter(outcome.scores))
    entry = {
        "backend": name,
        "device": info.device,
        **({"backend_settings": dict(info.settings)} if info.settings else {}),
        "figures": dict(score.figures),
    }
    if name != first:
        entry["differences"] = {key: difference(outcome.scores[first], score, key) for key in score.figures}
    return {**entry, run.evaluation.rows: list(score.rows), **score.more}
