"""What is written to stdout and stderr: file names and labels cannot give commands to the terminal."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from ...models.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Iterator


class Escaped:
    """A stream of text in which control characters are escaped; everything else is the stream's own.

    Attributes:
        plain: The stream itself, for what draws on a terminal.

    """

    def __init__(self, plain: TextIO) -> None:
        self.plain = plain

    def write(self, text: str, /) -> int:
        """Write text."""
        return self.plain.write(without_controls(text))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.plain, name)


class EscapedMessages(Escaped):
    """The same for messages: where they cannot be written, nobody can be told, and results are not lost for it."""

    def write(self, text: str, /) -> int:
        """Write text, if that is possible."""
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        with suppress(OSError):
            self.plain.flush()


@contextmanager
def escaped_output() -> Iterator[None]:
    """Escape what is written to stdout and stderr meanwhile."""
    before = sys.stdout, sys.stderr
    for stream in before:
        # The name of a file need not be text, and a terminal may know few characters: those are escaped too.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    ours: Any = Escaped(sys.stdout), EscapedMessages(sys.stderr)
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        # click puts another stream there when the reader of one has gone; that one stays.
        if sys.stdout is ours[0]:
            sys.stdout = before[0]
        if sys.stderr is ours[1]:
            sys.stderr = before[1]


def drawing() -> TextIO:
    """Return stderr for what moves the cursor."""
    return getattr(sys.stderr, "plain", sys.stderr)
