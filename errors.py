"""The exceptions of cvport, each with a next step and the exit code that the commands return.

CvportError            1  anything not covered below
  UsageError           2  a wrong option, model name or combination of them
  InputError           3  an image, a folder or a value that cannot be processed
  WeightsError         4  a checkpoint that cannot be found, read or matched
  ArtifactError        4  an exported file that is missing, foreign or damaged, or cannot be written
  BackendError         5  a backend or device that is not available
  ParityFailed         6  the exported file does not compute what the network computes
  ParityIncomplete     7  a leg of the comparison that was demanded could not run
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class CvportError(Exception):
    """Base of every error raised on purpose.

    Args:
        message: What is wrong, in one sentence.
        hint: What to do next, or an empty string.

    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(CvportError):
    """A wrong option, model name or combination of them."""

    exit_code = 2


class InputError(CvportError):
    """An image, a folder or a value that cannot be processed."""

    exit_code = 3


class WeightsError(CvportError):
    """A checkpoint that cannot be found, read or matched to a network."""

    exit_code = 4


class ArtifactError(CvportError):
    """An exported file that is missing, foreign or damaged, or cannot be written."""

    exit_code = 4


class BackendError(CvportError):
    """A backend or device that was asked for and is not available."""

    exit_code = 5


class ParityFailed(CvportError):  # noqa: N818
    """The exported file does not compute what the network computes."""

    exit_code = 6


class ParityIncomplete(CvportError):  # noqa: N818
    """A leg of the comparison that was demanded could not run."""

    exit_code = 7


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a next step that names the closest of *known*, or lists them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}."
