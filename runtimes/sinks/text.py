"""What the sinks that write text share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from .output import cannot_write

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .base import Failure, Prediction, RunInfo


class TextOut(Protocol):
    """What of a text stream the sinks use."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> None:
        """Hand on what was written."""


class TextSink(ABC):
    """Writes text to a stream, whole pieces at a time, each flushed.

    A sink of a format replaces `write` and what else it needs of the rest.

    Args:
        info: What is the same for all results.
        out: Where the text goes; it is not closed.

    """

    def __init__(self, info: RunInfo, out: TextOut) -> None:
        self.info = info
        self._out = out
        self._reader_left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._reader_left:
            self.finish(broken=kind is not None)

    @abstractmethod
    def write(self, prediction: Prediction) -> None:
        """Take a result."""

    def fail(self, failure: Failure) -> None:  # noqa: B027
        """Take a failure; most formats have no place for it."""

    def finish(self, *, broken: bool) -> None:  # noqa: B027
        """Write what comes after the last result.

        Args:
            broken: Whether an error ended the run. Where nothing was written until then, nothing is now.

        """

    def put(self, text: str) -> None:
        """Write a piece of text.

        Raises:
            BrokenPipeError: Nobody reads any more, as with `| head`.
            InputError: It cannot be written.

        """
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            self._reader_left = True
            raise
        except OSError as error:
            raise cannot_write("the results to standard output", error) from error
