"""The reference of the commands: the committed page is what the commands say now, and nothing is left out."""

import re

import click
import pytest

from cli_reference import PAGE, entries, render
from cvport.exporters.commands.cvexport import cvexport
from cvport.runtimes.commands.cvrun import COMMANDS


def test_the_committed_page_is_what_the_commands_say():
    assert PAGE.read_text(encoding="utf-8") == render(), "run: make docs"


def test_every_command_has_a_section():
    sections = re.findall("^## (.+)$", render(), flags=re.M)
    assert sections == [
        "cvexport",
        *(f"cvexport {name}" for name in cvexport.commands),
        "cvrun",
        *(f"cvrun {name}" for name in COMMANDS),
    ]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.words)
def test_every_option_has_a_row(entry):
    section = render().partition(f"\n## {entry.words}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`-.+?`) \|", section, flags=re.M)
    shown = [name for row in rows for name in re.findall("`(.+?)`", row)]
    options = [param for param in entry.command.params if isinstance(param, click.Option) and not param.is_eager]
    assert sorted(shown) == sorted(name for option in options for name in (*option.opts, *option.secondary_opts))
    assert all("may be repeated" in option.help for option in options if option.multiple)


@pytest.mark.parametrize(
    "row",
    [
        "| `-o`, `--output` | `DIR` | `artifacts` | Publish to DIR/MODEL/, reject to DIR/rejected/. |",
        "| `--against` | `LEG\\|FILE` | required | What to compare with: a backend with its settings,",
        "| `--conf` | `FLOAT 0 to 1` |  | Score threshold. |",
        "| `--max-pixels` | `INTEGER from 1` | `100000000` | Refuse images of more pixels,",
        "| `--labels-shown` | `auto\\|all\\|none` | `auto` | Labels drawn: those with room for them, all or none. |",
        "| `-q`, `--quiet` |  |  | Print nothing on stderr but errors. |",
    ],
)
def test_a_row_has_names_value_default_and_help(row):
    assert any(line.startswith(row) for line in render().splitlines())
