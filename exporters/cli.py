"""``cvexport``: export a model, and look at what can be exported."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..models.registry import get_model, list_models
from ..runtimes.console import overview, progress, read_variant_options, run_command, set_verbosity, variant_options
from .export import LEGS, export
from .graph import OPSET
from .render import render

_EXAMPLES = """\b
Examples:
  cvexport yolox --weights yolox_nano.pth
  cvexport yolox --weights seeded -o /tmp/artifacts --json
  cvexport yolox --weights hand.pth --preprocess megvii-legacy --activation relu --probes photos/
"""
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _ModelGroup(click.Group):
    """A group in which a name that is no command is a model to export."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "", _export_command, args
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            rows = [(f"MODEL ({', '.join(list_models())})", "Export a model; cvexport MODEL --help")]
            rows += [(name, command.get_short_help_str()) for name, command in self.commands.items()]
            formatter.write_dl(rows)


@click.group(cls=_ModelGroup, epilog=_EXAMPLES, context_settings=_SETTINGS)
@click.version_option(package_name="cvport")
def cvexport() -> None:
    """Export a model to an ONNX file that is proved equal to it."""


@click.command(context_settings=_SETTINGS, epilog=_EXAMPLES)
@click.argument("model")
@click.option("--weights", metavar="W", help="A file, folder, ms:ORG/MODEL, hf:ORG/MODEL or seeded[:N].")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    metavar="DIR",
    help="Publish to DIR/MODEL/, reject to DIR/rejected/.",
)
@click.option("--opset", type=int, default=OPSET, show_default=True, help="Of the file.")
@click.option("--batch", default="dynamic", show_default=True, metavar="dynamic|N", help="Batch size of the file.")
@variant_options
@click.option("--backends", default=",".join(LEGS), show_default=True, help="Legs to compare, where available.")
@click.option("--require", default="", metavar="A,B", help="Legs without which nothing is published.")
@click.option("--tolerance", "tolerances", multiple=True, metavar="OUT:FIGURE=X", help="Replaces a derived limit.")
@click.option("--probes", type=click.Path(path_type=Path), multiple=True, metavar="DIR", help="Pictures to compare on.")
@click.option("--offline", is_flag=True, help="Never download weights.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where downloaded weights are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
def _export_command(
    *,
    model: str,
    batch: str,
    backends: str,
    require: str,
    tolerances: tuple[str, ...],
    probes: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Export MODEL, compare the file with PyTorch, publish it if it passes."""
    set_verbosity(quiet, verbose)
    variant = read_variant_options(*(options[name] for name in ("input_size", "preprocess", "activation", "labels")))
    with progress(quiet) as show:
        artifact = export(
            model,
            weights=options["weights"],
            output=options["output"],
            options=variant,
            opset=options["opset"],
            batch=int(batch) if batch.isdecimal() else batch,
            backends=_names(backends),
            require=_names(require),
            tolerances=tolerances,
            probes=probes,
            offline=options["offline"],
            cache_dir=options["cache_dir"],
            progress=show,
        )
    record = artifact.record
    if as_json:
        paths = {"onnx": str(artifact.onnx), "parity": str(artifact.parity), "loaded": artifact.loaded}
        click.echo(json.dumps({**paths, **record}, indent=1, default=str))
        return
    note = "  (untrained weights)" if record["untrained"] else ""
    click.echo(f"{record['title']}{note}: {artifact.loaded}")
    click.echo(render(record))
    legs = ", ".join(f"{name} {_leg(leg)}" for name, leg in record["legs"].items())
    click.echo(f"\n{record['verdict']}: {artifact.onnx}\nlegs: {legs}")


@cvexport.command("list")
def _list() -> None:
    """List the models."""
    for name in list_models():
        click.echo(f"{name:12} {get_model(name).task}")


@cvexport.command("show")
@click.argument("model")
def _show(model: str) -> None:
    """Show a model's contract."""
    spec = get_model(model)
    rows = {
        "task": spec.task,
        "input": f"{spec.input_name} (N,3,H,W) float32, sides multiples of {spec.stride}",
        "outputs": spec.outputs,
        "labels": ", ".join(spec.labels),
        "weights": spec.hub or "no known address",
        "preprocess": ", ".join(spec.conventions),
        "activation": ", ".join(spec.activations),
    }
    click.echo("\n".join(f"{name:12} {value}" for name, value in {"model": spec.name, **rows}.items() if value))


def _leg(leg: dict[str, str]) -> str:
    return leg["status"] if "reason" not in leg else f"{leg['status']} ({leg['reason'].splitlines()[0]})"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def main() -> None:
    """Entry point."""
    if len(sys.argv) == 1:
        click.echo(overview())
        return
    sys.exit(run_command(cvexport))
