"""Options that several commands of cvexport have."""

from __future__ import annotations

from pathlib import Path

import click

from ...runtimes.commands.options import option_group

probes_option = click.option(
    "--probes",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Folder of images to compare on, besides the built-in ones; may be repeated.",
)
lang_option = click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="Language in which report.html opens; both are in it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
tolerance_option = option_group(
    "Export",
    click.option(
        "--tolerance",
        "tolerances",
        multiple=True,
        metavar="OUT:FIGURE=X",
        help="Limit to use instead of the derived one, such as cls_0:atol=1e-3; may be repeated.",
    ),
)
