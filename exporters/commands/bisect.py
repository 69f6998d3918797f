"""``cvexport bisect``: name the operator at which two legs part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import ParityFailed
from ...runtimes.commands.console import progress, set_verbosity
from ...runtimes.commands.options import (
    SETTINGS,
    SectionedCommand,
    download_options,
    verbosity_options,
    weights_option,
)
from .options import json_option

if TYPE_CHECKING:
    from ..bisect.run import Finding

_EXAMPLES = """\b
Examples:
  cvexport bisect artifacts/yolox/yolox.onnx --weights yolox_nano.pth
  cvexport bisect yolox.onnx --against yolox_before.onnx
  cvexport bisect yolox.onnx --against onnx:unoptimised --json
"""


@click.command("bisect", cls=SectionedCommand, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.onnx")
@click.option(
    "--against",
    default="torch",
    show_default=True,
    metavar="LEG",
    help="The other leg: torch, onnx:unoptimised, npu[:N] or OTHER.onnx, whose values have the same names.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("bisect"),
    show_default=True,
    metavar="DIR",
    help="Folder for the operator with its inputs, where one is found.",
)
@json_option
@weights_option(", which torch and npu need")
@download_options
@verbosity_options
def bisect_command(
    *,
    file: Path,
    against: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Name the first operator of FILE that computes something else than the other leg does.

    Exit code 6 where the two part. Nothing published is touched; a seal that does not fit the bytes is no obstacle.
    """
    from ..bisect.run import bisect  # needs torch and onnx, which --help does not

    set_verbosity(quiet, verbose)
    with progress(quiet) as show:
        finding = bisect(file, against=against, progress=show, **options)
    click.echo(json.dumps(finding.to_dict(), indent=2) if as_json else "\n".join(describe(finding)))
    if finding.verdict != "same":
        where = finding.stage if finding.first is None else finding.first.operators[-1].name
        raise ParityFailed(f"{file} and {against} part: {where}")


def describe(finding: Finding) -> list[str]:
    """Return a finding for people."""
    simulated = ["the device is simulated: this says nothing about a real one"] if finding.simulated else []
    outputs, first = finding.outputs, finding.first
    if finding.verdict == "same" and outputs is not None:
        near = f"{outputs.value} differs by {outputs.max_abs:.3g} of {outputs.limit:.3g} ({outputs.share:.0%})"
        return [f"same: {near}; {finding.runs} runs", *simulated]
    if first is None:
        more = [f"  {outputs.value} differs by {outputs.max_abs:.3g} of {outputs.limit:.3g}"] if outputs else []
        what = "no part of the network differs by itself: errors add up" if finding.stage == "network" else ""
        return [f"diverges in the {finding.stage}", *more, *([f"  {what}"] if what else []), *simulated]
    last, found = first.operators[-1], first.introduced
    lines = [f"diverges in the network, first at {last.kind} {last.name}"]
    if len(first.operators) > 1:
        begin = first.operators[0].name
        closer = f"; to look closer, capture again with --taps {begin}:{last.name}" if finding.captured else ""
        why = "there are no values between them" if finding.captured else "which are run together"
        lines.append(f"  or between {begin} and it, {why}{closer}")
    lines += [
        f"  module      {last.module or 'not known'}",
        f"  introduced  {found.max_abs:.3g} in {found.value} {list(found.shape)}, limit {found.limit:.3g}, "
        f"cosine {found.cosine:.6f}",
        f"  inherited   {first.inherited:.3g}",
    ]
    if outputs is not None:
        lines.append(f"  at the end  {outputs.value} differs by {outputs.max_abs:.3g}, limit {outputs.limit:.3g}")
    lines.append("largest error as a share of the largest value:")
    lines += [f"  {point.node:40} {point.max_rel:.2g}" for point in finding.curve]
    lines.append(f"{finding.runs} runs")
    if finding.folder is not None:
        lines.append(f"to reproduce it: python {finding.folder / 'replay.py'}")
    return [*lines, *simulated]
