"""``cvexport check``: whether another tool reads a file as it is meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import ArtifactError
from ...models.printable import printable
from ...runtimes.commands.options import SETTINGS
from ..targets.registry import TARGETS
from ..targets.verdicts import FATAL, VERDICTS
from .options import json_option

if TYPE_CHECKING:
    from ..targets.verdicts import Finding, Report

_EXAMPLES = """\b
Examples:
  cvexport check artifacts/yolox/yolox.onnx --for cann-9.1
  cvexport check theirs.onnx --for onnxruntime-1.19 --json
  cvexport check theirs.onnx --for opencv
"""
_SHOWN = 3
_LONGEST_NAME = 60


@click.command("check", epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.onnx")
@click.option(
    "--for",
    "target",
    required=True,
    metavar="TARGET",
    help=f"What is to read the file: {', '.join(target.name for target in TARGETS)}.",
)
@json_option
def check_command(*, file: Path, target: str, as_json: bool) -> None:
    """Tell how TARGET reads each node of FILE: any .onnx file, sealed or not.

    The cann targets and onnxruntime-1.19 go by tables, opencv and openvino run the file and compare. Exit code 4 if a
    node is misread or not registered; what is unknown, experimental or ignored without harm is a warning.
    """
    from ..targets.check import check_file  # needs onnx, which --help does not

    report = check_file(file, target)
    click.echo(json.dumps(report.to_dict(), indent=1) if as_json else "\n".join(describe(report)))
    if report.verdict in FATAL:
        raise _unreadable(report)


def describe(report: Report) -> list[str]:
    """Return a report for people: counts, a line for each kind of finding, the verdict."""
    outcome = report.outcome
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items())
    kinds: dict[Finding, list[tuple[str, str]]] = {finding: [] for finding in outcome.findings}
    for entry in outcome.nodes:
        for finding in entry.findings:
            kinds.setdefault(finding, []).append((entry.op_type, entry.node))
    ranked = sorted(kinds.items(), key=lambda item: -VERDICTS.index(item[0].verdict))
    width = max((len(finding.verdict) for finding in kinds), default=0)
    lines = [f"  {finding.verdict:{width}}  {_where(places)}: {_words(finding)}" for finding, places in ranked]
    notes = [f"note: {note}" for note in outcome.notes]
    warns = report.verdict != "ok" and report.verdict not in FATAL
    last = f"{report.verdict} for {report.target}" + (": a warning, nothing is known to be misread" if warns else "")
    return [f"{len(outcome.nodes)} nodes: {counts or 'none'}", *lines, *notes, last]


def _where(places: list[tuple[str, str]]) -> str:
    """Return which nodes a finding is about: their operators, the first names, how many."""
    if not places:
        return "the file"
    operators = ", ".join(dict.fromkeys(printable(operator, _LONGEST_NAME) for operator, _ in places))
    names = ", ".join(printable(name, _LONGEST_NAME) for _, name in places[:_SHOWN])
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"{len(places)} {operators} ({names}{more})"


def _words(finding: Finding) -> str:
    mended = f"; mended in {finding.mended_in}" if finding.mended_in else ""
    safe_form = f"; safe: {finding.safe_form}" if finding.safe_form else ""
    return f"{printable(finding.reason)}{mended}{safe_form}"


def _unreadable(report: Report) -> ArtifactError:
    """Return the error of a file that cannot be read rightly: it names the first node, or what is wrong with it all."""
    bad = [entry for entry in report.outcome.nodes if entry.verdict in FATAL]
    whole = [finding for finding in report.outcome.findings if finding.verdict in FATAL]
    worst = bad[0].worst if bad else whole[0]
    more = f", and {len(bad) - 1} more nodes" if len(bad) > 1 else ""
    where = f"{bad[0].op_type} {printable(bad[0].node, _LONGEST_NAME)}{more}" if bad else "the file as a whole"
    hint = f"Write in its place: {worst.safe_form}" if worst.safe_form else "Leave it out, or choose another target."
    if worst.mended_in:
        hint += f". Or use {worst.mended_in}, which reads it."
    return ArtifactError(f"{report.target} cannot read {report.file} rightly: {where}: {worst.reason}", hint)
