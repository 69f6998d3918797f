"""Results as JSON, one object per line, each written when it is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .text import TextSink

if TYPE_CHECKING:
    from .base import Failure, Prediction


class JsonLinesSink(TextSink):
    """Writes a line per image, in order: its result, or its source and its error."""

    def write(self, prediction: Prediction) -> None:
        """Write a result."""
        self._put_line(prediction.to_dict())

    def fail(self, failure: Failure) -> None:
        """Write an error."""
        content = failure.to_dict()
        error = {name: content.pop(name) for name in ("code", "message")}
        self._put_line({**content, "error": error})

    def _put_line(self, content: dict[str, Any]) -> None:
        self.put(json.dumps(content, ensure_ascii=False) + "\n")
