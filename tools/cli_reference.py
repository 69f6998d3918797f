"""Write docs/cli.md, the reference of both commands, from click's own objects: ``python tools/cli_reference.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from cvport.exporters.commands.cvexport import cvexport
from cvport.models.lazy import resolve
from cvport.runtimes.commands import cvrun as cvrun_module

PAGE = Path(__file__).parents[1] / "docs/cli.md"

_HEAD = """\
# Commands and options

`make docs` writes this page from the commands themselves; do not edit it. `-h` prints the same for one
command, `--version` the version.
"""
_RUN = "cvport.runtimes.commands"
# The options of a plain click command have no section of their own.
_OWN = "Options"


class Entry(NamedTuple):
    """A command and the words that call it."""

    words: str
    command: click.Command


def entries() -> list[Entry]:
    """Return every command and subcommand, in the order of the page."""
    export = cvexport.resolve_command(click.Context(cvexport), ["MODEL"])[1]
    if export is None:
        raise LookupError("cvexport exports no model")
    found = [Entry("cvexport", export)]
    found += [Entry(f"cvexport {name}", command) for name, command in cvexport.commands.items()]
    found.append(Entry("cvrun", cvrun_module.cvrun))
    found += [Entry(f"cvrun {name}", resolve(where, _RUN)) for name, (where, _) in cvrun_module.COMMANDS.items()]
    return found


def render() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_contents(), "", *(line for entry in entries() for line in _section(entry))])


def _contents() -> list[str]:
    rows = ["| | |", "|---|---|"]
    for entry in entries():
        what = entry.command.get_short_help_str(limit=200)
        rows.append(f"| [`{_cell(_usage(entry))}`](#{_anchor(entry)}) | {_cell(what)} |")
    return rows


def _anchor(entry: Entry) -> str:
    return entry.words.replace(" ", "-")


def _usage(entry: Entry) -> str:
    """Return the words of a command with its arguments, as its help shows them."""
    context = click.Context(entry.command)
    arguments = [piece for param in _arguments(entry.command) for piece in param.get_usage_pieces(context)]
    return " ".join([entry.words, *arguments])


def _arguments(command: click.Command) -> list[click.Parameter]:
    return [param for param in command.params if isinstance(param, click.Argument)]


def _section(entry: Entry) -> Iterator[str]:
    """Yield the lines about a command: usage, what it does, a table for each group of options, examples."""
    command = entry.command
    yield from (f"## {entry.words}", "", f"    {_usage(entry)}", "", *_paragraphs(command.help), "")
    for title, options in _groups(command).items():
        yield from (f"**{title}**", "", "| option | value | default | |", "|---|---|---|---|")
        yield from map(_row, options)
        yield ""
    examples = [line for line in inspect.cleandoc(command.epilog or "").splitlines() if line.startswith("  ")]
    if examples:
        yield from ("Examples:", "", *(f"    {line.strip()}" for line in examples), "")


def _paragraphs(text: str | None) -> list[str]:
    return inspect.cleandoc(text or "").splitlines()


def _groups(command: click.Command) -> dict[str, list[click.Option]]:
    """Return the options by the titles of the help, the command's own first."""
    found: dict[str, list[click.Option]] = {_OWN: []}
    for param in command.params:
        if isinstance(param, click.Option) and not param.is_eager and not param.hidden:
            found.setdefault(getattr(param, "section", _OWN), []).append(param)
    return {title: options for title, options in found.items() if options}


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f"`{_cell(_value(option))}`"
    default = _default(option)
    shown = f"`{_cell(default)}`" if default else ""
    required = "required" if option.required else shown
    return f"| {names} | {value} | {required} | {_cell(option.help or '')} |"


def _value(option: click.Option) -> str:
    """Return what an option takes: its choices, what its help calls it, or its type with its bounds."""
    kind = option.type
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    if option.metavar:
        return option.metavar
    if isinstance(kind, click.IntRange | click.FloatRange):
        number = "INTEGER" if isinstance(kind, click.IntRange) else "FLOAT"
        if kind.min is not None and kind.max is not None:
            return f"{number} {kind.min} to {kind.max}"
        return f"{number} from {kind.min}"
    return kind.name.upper()


def _default(option: click.Option) -> str:
    """Return the default, as text; nothing for flags and where the command decides."""
    value = option.get_default(click.Context(click.Command("")), call=False)
    if option.is_flag or value is None or value == () or not isinstance(value, str | int | float | Path):
        return ""
    return str(value)


def _cell(text: str) -> str:
    """Return text for a cell of a table, where | would end it."""
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
