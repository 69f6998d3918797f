"""``cvexport``: export a model, and look at what can be exported."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import CvportError, ParityFailed, ParityIncomplete, UsageError
from ...models.registry import get_model, known_names, survey
from ...runtimes.commands.console import missing_for_export, overview, progress, run_command, set_verbosity, show_error
from ...runtimes.commands.options import (
    SETTINGS,
    SectionedCommand,
    download_options,
    option_group,
    take_variant_options,
    variant_options,
    verbosity_options,
    weights_option,
)
from ...runtimes.kinds.registry import KINDS
from ..export import Artifact, export
from ..gate.legs import backend_names
from ..graphs.trace import OPSET
from ..report.record import Record
from ..report.text import nearest_to_limit, render, render_summary
from .bisect import bisect_command
from .capture import capture_command
from .check import check_command
from .doctor import examine
from .doctor import render as render_doctor
from .new import new
from .options import json_option, lang_option, probes_option, tolerance_option
from .parity import parity_command
from .replay import replay_command
from .sign import sign_command
from .verify import verify_command

if TYPE_CHECKING:
    from ...models.plugins import Entry

_EXAMPLES = """\b
Examples:
  cvexport yolox --weights yolox_nano.pth
  cvexport yolox --weights sample -o exported --json
  cvexport all --weights seeded
  cvexport yolox --weights hand.pth --preprocess megvii-legacy --activation relu --probes photos/
"""


class _ModelGroup(click.Group):
    """A group in which a name that is no command is a model to export."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            named = next((word for word in given if word in (*self.commands, *known_names())), None)
            if named is None:
                raise
            rest = [word for word in given if word != named]
            raise UsageError(
                f"{error.option_name} stands before {named}, which it belongs to",
                f"Name that first: {shlex.join(['cvexport', named, *rest])}",
            ) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "", _export_command, args
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            rows = [(f"MODEL ({', '.join(known_names())})", "Export a model; cvexport MODEL --help")]
            rows += [(name, command.get_short_help_str()) for name, command in self.commands.items()]
            formatter.write_dl(rows)
        if missing := missing_for_export():
            with formatter.section("Not installed here"):
                formatter.write_text(f"{', '.join(missing)}, which an export needs: pip install 'cvport[export]'")


@click.group(cls=_ModelGroup, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.version_option(package_name="cvport")
def cvexport() -> None:
    """Export a model to an ONNX file that is proved equal to it."""


_export_options = option_group(
    "Export",
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=Path("artifacts"),
        show_default=True,
        metavar="DIR",
        help="Publish to DIR/MODEL/, reject to DIR/rejected/.",
    ),
    click.option("--opset", type=int, default=OPSET, show_default=True, help="ONNX opset version."),
    click.option("--batch", default="dynamic", show_default=True, metavar="dynamic|N", help="Batch size of the file."),
    click.option(
        "--form",
        default="raw",
        show_default=True,
        metavar="raw|decoded|e2e",
        help="What the file gives: the network's outputs, boxes and scores, or what is found. Published as MODEL-FORM.",
    ),
    click.option(
        "--backends",
        default=",".join(backend_names()),
        show_default=True,
        metavar="A,B",
        help="Backends to compare, where they are available.",
    ),
    click.option("--require", default="", metavar="A,B", help="Backends without which nothing is published (exit 7)."),
    probes_option,
    lang_option,
    download_options,
    json_option,
    verbosity_options,
)


def _check_shared(weights: str | None) -> None:
    """Refuse weights that belong to one model."""
    from ...models.weights.files import Sample, Seeded, parse_address  # needs numpy, which --help does not

    if weights is not None and not isinstance(parse_address(weights), Seeded | Sample):
        raise UsageError(f"the models do not share the weights {weights}", "Leave it out, or give seeded[:N].")


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return the values of `_export_options` as `export` takes them."""
    batch = options["batch"]
    return {
        "output": options["output"],
        "opset": options["opset"],
        "batch": int(batch) if batch.isdecimal() else batch,
        "form": options["form"],
        "backends": _comma_separated(options["backends"]),
        "require": _comma_separated(options["require"]),
        "probes": options["probes"],
        "offline": options["offline"],
        "cache_dir": options["cache_dir"],
        "lang": options["lang"],
    }


@click.command(cls=SectionedCommand, context_settings=SETTINGS, epilog=_EXAMPLES)
@click.argument("model")
@weights_option()
@variant_options
@tolerance_option
@_export_options
def _export_command(
    *,
    model: str,
    weights: str | None,
    tolerances: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Export MODEL, compare the file with PyTorch, publish it if it passes."""
    set_verbosity(quiet, verbose)
    variant = take_variant_options(options)
    with progress(quiet) as show:
        settings = {**_settings(options), "progress": show}
        artifact = export(model, weights=weights, options=variant, tolerances=tolerances, **settings)
    if as_json:
        click.echo(_to_json(_content(artifact)))
        return
    record = Record.from_dict(artifact.record)
    click.echo(f"{record.verdict}: {artifact.onnx}\n{record.title}{_note(record)}: {artifact.loaded}")
    click.echo(render(record, verbose=verbose))
    if not verbose:
        click.echo(f"all figures: {artifact.report}, or -v")


@cvexport.command("all", cls=SectionedCommand, context_settings=SETTINGS)
@click.option(
    "--weights",
    metavar="seeded[:N]",
    help="Untrained weights for all models, instead of each model's own address.",
)
@_export_options
def _all(
    *,
    weights: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Export every model; one that fails does not stop the others.

    The exit code is 0 if all passed, else the largest of those that the models would have given alone.
    """
    set_verbosity(quiet, verbose)
    _check_shared(weights)
    settings = _settings(options)
    rows = []
    for name in _usable_models(quiet=quiet):
        if not quiet:
            click.echo(f"exporting {name}", err=True)
        try:
            with progress(quiet) as show:
                rows.append(_content(export(name, weights=weights, **settings, progress=show)))
        except CvportError as error:
            show_error(error, name)
            rows.append(_failure(name, error))
    click.echo(_to_json(rows) if as_json else render_summary(rows))
    return max(int(row.get("code", 0)) for row in rows)


def _usable_models(*, quiet: bool) -> list[str]:
    """Return the models that `all` exports; those of broken packages are told and left out."""
    entries = survey(KINDS)
    for entry in entries:
        if entry.reason is not None and not quiet:
            click.echo(f"left out {entry.name} of {entry.package} {entry.version}: {entry.reason}", err=True)
    return [entry.name for entry in entries if entry.reason is None]


def _content(artifact: Artifact) -> dict[str, Any]:
    nearest = nearest_to_limit(Record.from_dict(artifact.record))
    return {
        "onnx": str(artifact.onnx),
        "parity": str(artifact.parity),
        "loaded": artifact.loaded,
        "nearest": "" if nearest is None else f"{nearest.share:.0%} ({nearest.what})",
        **artifact.record,
    }


def _failure(name: str, error: CvportError) -> dict[str, Any]:
    verdicts = {ParityFailed.exit_code: "failed", ParityIncomplete.exit_code: "incomplete"}
    verdict = verdicts.get(error.exit_code, "not exported")
    return {"model": name, "verdict": verdict, "code": error.exit_code, "message": error.message}


def _to_json(content: object) -> str:
    return json.dumps(content, indent=1, default=str)


@cvexport.command("doctor")
@json_option
def _doctor(*, as_json: bool) -> None:
    """Print what the legs need and have here, for a bug report."""
    found = examine()
    click.echo(_to_json(found) if as_json else render_doctor(found))


@cvexport.command("list")
@json_option
def _list(*, as_json: bool) -> None:
    """List the models: what they find, where their weights come from, which package has them."""
    entries = survey(KINDS)
    click.echo(_to_json([asdict(entry) for entry in entries]) if as_json else "\n".join(map(_listed, entries)))


def _listed(entry: Entry) -> str:
    source = "" if entry.package == "cvport" else f"  {entry.package} {entry.version}"
    if entry.reason is not None:
        return f"{entry.name:12} cannot be used: {entry.reason}{source}"
    return f"{entry.name:12} {entry.task:55} {entry.hub or 'no known address'}{source}"


@cvexport.command("show")
@click.argument("model")
def _show(model: str) -> None:
    """Show all that is known about a model."""
    from ...models.weights.files import sample_folder  # needs numpy, which --help does not

    spec = get_model(model)
    preprocess, postprocess = spec.params_types
    rows = {
        "task": spec.task,
        "input": f"{spec.input_name} (N,3,H,W) float32",
        "input size": spec.sizes,
        "outputs": spec.outputs,
        "result": spec.kind,
        "labels": ", ".join(spec.labels),
        **{f"--labels {name}": ", ".join(labels) for name, labels in spec.label_lists.items()},
        **{f"in {lang}": ", ".join(names.values()) for lang, names in spec.translations.items()},
        "weights": spec.hub or "no known address; give the file",
        "sample": "--weights sample, small and trained, to try things out" if sample_folder(spec) else "",
        "preprocess": ", ".join(spec.conventions),
        "activation": ", ".join(spec.activations),
        "before": _defaults(preprocess),
        "after": _defaults(postprocess),
    }
    width = max(map(len, rows)) + 1
    click.echo("\n".join(f"{name:{width}} {value}" for name, value in {"model": spec.name, **rows}.items() if value))


def _defaults(kind: type[Any]) -> str:
    """Return the fields of a parameter dataclass with their defaults."""
    values = ((field.name, field.default) for field in fields(kind))
    return ", ".join(name if value is MISSING else f"{name} {value}" for name, value in values)


def _note(record: Record) -> str:
    return "  (untrained weights)" if record.untrained else ""


def _comma_separated(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


_COMMANDS = (
    capture_command,
    parity_command,
    bisect_command,
    check_command,
    verify_command,
    sign_command,
    replay_command,
    new,
)
for _command in _COMMANDS:
    cvexport.add_command(_command)


def main() -> None:
    """Entry point."""
    if len(sys.argv) == 1:
        click.echo(overview())
        return
    sys.exit(run_command(cvexport))
