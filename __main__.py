"""``python -m cvport``: what is installed, what can run here, and commands to copy."""

from __future__ import annotations

import sys

from .errors import UsageError


def main() -> None:
    """Print the overview; it has no options."""
    import click

    from .runtimes.commands.console import overview, show_error

    if len(sys.argv) > 1:
        error = UsageError("python -m cvport takes no arguments", "The commands are cvexport --help and cvrun --help")
        show_error(error)
        sys.exit(error.exit_code)
    click.echo(overview())


if __name__ == "__main__":
    main()
