"""``cvexport parity``: how a file compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...errors import ArtifactError, ParityFailed, UsageError
from ...models.spec import VariantOptions
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
from ..gate.capture import complete
from ..judge import judge_file
from ..report.record import Record, read_record
from ..report.text import failure, render
from ..verify import require_whole
from .options import json_option, lang_option, probes_option, tolerance_option

# Options of `parity` that mean nothing where no comparison is made, and the names of their values.
_NEED_WEIGHTS = {"model": "model", "map": "mapping", "tolerance": "tolerances", "probes": "probes"}


@click.command("parity", cls=SectionedCommand, context_settings=SETTINGS)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.onnx")
@click.option(
    "--capture", type=click.Path(path_type=Path), metavar="FILE.npz", help="Capture of an NPU to compare and add."
)
@weights_option(", to compare the file with their network now; nothing is written")
@click.option("--model", metavar="NAME", help="With --weights, for a file without a seal: what it is.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="THEIRS=OURS",
    help="Another name of an input or output; may be repeated.",
)
@variant_options
@tolerance_option
@probes_option
@lang_option
@download_options
@json_option
@verbosity_options
def parity_command(
    *,
    file: Path,
    capture: Path | None,
    weights: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Show how a published FILE compares, complete that with a capture, or compare any FILE with --weights.

    With --capture the record and the sums change if the verdict is passed; the file keeps its bytes.
    """
    set_verbosity(quiet, verbose)
    if not file.exists():
        raise ArtifactError(f"no such file: {file}", "Check the path; cvexport MODEL writes one.")
    variant = take_variant_options(options)
    if weights is None:
        record = _recorded(file, capture, variant, options)
    elif capture is not None:
        raise UsageError("--capture and --weights are two comparisons", "Make one after the other.")
    else:
        with progress(quiet) as show:
            del options["lang"]  # of a report, which is not written
            record = judge_file(file, weights, options=variant, progress=show, **options)
    note = "  (untrained weights)" if record.untrained else ""
    text = f"{record.verdict}: {file}\n{record.title}{note}\n{render(record, verbose=verbose)}"
    click.echo(record.to_json().rstrip() if as_json else text)
    if record.verdict != "passed":
        unchanged = "; the artifact is as before" if capture is not None else ""
        raise ParityFailed(f"{file} does not compute what its network computes{unchanged}: {failure(record)}")


def _recorded(file: Path, capture: Path | None, variant: VariantOptions, options: dict[str, Any]) -> Record:
    """Return the record of a published file, completed with a capture where one is given."""
    given = [f"--{name}" for name, key in _NEED_WEIGHTS.items() if options[key]]
    if given or variant != VariantOptions():
        raise UsageError(
            f"{', '.join(given) or 'the variant'} is for a comparison that is made now", "Give --weights W."
        )
    if capture is not None:
        return complete(file, capture, lang=options["lang"])
    require_whole(file)
    return read_record(file.with_name("parity.json"))
