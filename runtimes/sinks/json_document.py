"""Results as one JSON document, written piece by piece: its head, each result, then the errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..versions import library_versions
from .base import SCHEMA_VERSION
from .text import TextSink

if TYPE_CHECKING:
    from .base import Failure, Prediction, RunInfo
    from .text import TextOut

_INDENT = 2


class JsonSink(TextSink):
    """Writes the text that `json.dumps` with an indent of 2 gives for the whole document.

    Errors come last in the document and are kept until then; results are not.
    """

    def __init__(self, info: RunInfo, out: TextOut) -> None:
        super().__init__(info, out)
        self._errors: list[dict[str, Any]] = []
        # What fails before there is a result leaves nothing behind.
        self._head = self._make_head()
        self._results = 0

    def write(self, prediction: Prediction) -> None:
        """Write a result."""
        self._put_entry(prediction.to_dict())

    def fail(self, failure: Failure) -> None:
        """Keep an error."""
        self._errors.append(failure.to_dict())

    def finish(self, *, broken: bool) -> None:
        """Write the errors and the end."""
        if broken and not self._results:
            return
        end = "\n  ]" if self._results else "]"
        errors = _nested(self._errors, 1)
        self._put_next(f'{end},\n  "errors": {errors}\n}}\n')

    def _make_head(self) -> str:
        info = self.info
        head = {
            "schema_version": SCHEMA_VERSION,
            "model": info.spec.name,
            "backend": info.backend,
            "device": info.device,
            **({"untrained": True} if info.untrained else {}),
            **({"settings": dict(info.settings)} if info.settings else {}),
            "versions": library_versions(),
        }
        return _nested(head, 0).removesuffix("\n}") + ',\n  "results": ['

    def _put_entry(self, content: dict[str, Any]) -> None:
        comma = "," if self._results else ""
        self._put_next(f"{comma}\n    {_nested(content, 2)}")
        self._results += 1

    def _put_next(self, text: str) -> None:
        """Write a piece, the first time with the head before it."""
        self.put(self._head + text)
        self._head = ""


def _nested(content: object, depth: int) -> str:
    """Return JSON text as it stands *depth* levels inside a document. Line breaks in strings are escaped in JSON."""
    text = json.dumps(content, indent=_INDENT, ensure_ascii=False)
    return text.replace("\n", "\n" + " " * (_INDENT * depth))
