"""``cvexport replay``: run a failed comparison again."""

from __future__ import annotations

from pathlib import Path

import click

from ...errors import ArtifactError, ParityFailed
from ...runtimes.commands.console import set_verbosity
from ...runtimes.commands.options import SETTINGS, verbosity_options
from ..replay import replay
from ..report.text import failure, render
from .options import json_option

_EXAMPLES = """\b
Examples:
  cvexport replay artifacts/rejected/yolox-20260101T120000Z
  cvexport replay artifacts/rejected/yolox-20260101T120000Z --json
"""


@click.command("replay", epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR")
@json_option
@verbosity_options
def replay_command(*, path: Path, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Compare the file of a rejected export with its stored PyTorch results again, without PyTorch.

    As the replay.py in DIR does it, but nothing in DIR is executed. Exit code 6 if it fails again.
    """
    set_verbosity(quiet, verbose)
    record = replay(_rejected_file(path))
    click.echo(record.to_json().rstrip() if as_json else render(record, verbose=True))
    if record.verdict != "passed":
        raise ParityFailed(f"it fails again: {failure(record)}")


def _rejected_file(path: Path) -> Path:
    """Return the exported file of a rejected folder.

    Raises:
        ArtifactError: The folder is none of a rejected export.

    """
    found = sorted(path.glob("*.onnx")) if path.is_dir() else [path]
    if len(found) != 1 or not found[0].is_file() or not found[0].with_name("inputs.npz").is_file():
        raise ArtifactError(
            f"{path} is no folder of a rejected export: it has no inputs.npz beside one .onnx file",
            "Name a folder in artifacts/rejected/. What cvexport bisect kept is run by: python -I DIR/replay.py",
        )
    return found[0]
