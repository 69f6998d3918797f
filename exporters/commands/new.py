"""``cvexport new``: write a package with a model of its own."""

from __future__ import annotations

from pathlib import Path

import click

from ...runtimes.commands.options import SETTINGS
from ..kits.new import write_package

_EXAMPLES = """\b
Examples:
  cvexport new shapes
  cvexport new corners --kind landmarks -o ~/models
"""


@click.command("new", epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("name")
@click.option(
    "--kind", default="detections", show_default=True, metavar="KIND", help="Result: detections, landmarks or classes."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Write the package to DIR/NAME; the current folder where not given.",
)
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
def new(*, name: str, kind: str, output: Path, quiet: bool) -> None:
    """Write an installable package with a model NAME, to put your own network into.

    The package works as it is: untrained weights, an export that passes, tests.
    """
    for path in write_package(name, kind, output):
        click.echo(path)
    if not quiet:
        folder = output / name
        # A word without a separator is the name of a package to pip.
        place = f"./{folder}" if len(folder.parts) == 1 else str(folder)
        click.echo(
            f"\nnext:\n  pip install -e {place}\n  cvexport {name} --weights seeded\n"
            f"  cvrun -m {name} --backend onnx image.jpg",
            err=True,
        )
