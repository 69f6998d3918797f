"""``cvexport capture``: keep what an NPU computes, to be compared on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...errors import UsageError
from ...models.spec import VariantOptions
from ...runtimes.backends.registry import choose_backend
from ...runtimes.commands.console import progress, set_verbosity
from ...runtimes.commands.options import (
    SETTINGS,
    SectionedCommand,
    download_options,
    take_variant_options,
    variant_options,
    verbosity_options,
    weights_option,
)
from ...runtimes.load import is_exported_file
from ..gate.capture import make_capture
from .options import probes_option


@click.command("capture", cls=SectionedCommand, context_settings=SETTINGS)
@click.argument("model", metavar="MODEL|FILE.onnx")
@click.option("--device", metavar="npu:N", help="Device to run on; the first where not given.")
@weights_option(", needed for a file too")
@variant_options
@probes_option
@click.option(
    "--taps",
    metavar="auto|all|N|FIRST:LAST",
    help="Keep values from the inside of the network too, for bisect: at some 16 places, at all, at N, or at each "
    "operator between two.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("capture.npz"),
    show_default=True,
    help="File to write.",
)
@download_options
@verbosity_options
def capture_command(
    *,
    model: str,
    output: Path,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Run MODEL on an NPU and keep what it computes, to be compared on another machine."""
    set_verbosity(quiet, verbose)
    choose_backend("npu", options["device"])
    variant = take_variant_options(options)
    if variant != VariantOptions() and is_exported_file(model):
        raise UsageError("the variant is fixed in an exported file", "Leave the options out, or give the model's name.")
    with progress(quiet) as show:
        capture = make_capture(model, options=variant, progress=show, **options)
        capture.write(output)
    click.echo(f"captured on {capture.meta['npu']['device']}: {output}  sha256 {capture.digest}")
