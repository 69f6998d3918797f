"""Results as aligned text for people, each image when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...models.printable import printable
from ..kinds.chained import describe
from .text import TextSink

if TYPE_CHECKING:
    from .base import Prediction


class TableSink(TextSink):
    """Writes a line per image: size, what was found, milliseconds by stage; and the lines of its result below."""

    def write(self, prediction: Prediction) -> None:
        """Write the lines of an image."""
        info, timing = self.info, prediction.timing
        summary, rows = describe(info.kind, prediction.result.to_dict(), info.names)
        spent = " + ".join(f"{ms:.1f}" for ms in (timing.preprocess, timing.network, timing.postprocess))
        note = "  (untrained weights)" if info.untrained else ""
        first = (
            f"{printable(prediction.source)}  {prediction.width}x{prediction.height}  {summary}"
            f"  {spent} ms on {info.backend} {info.device}{note}"
        )
        self.put("".join(f"{line}\n" for line in (first, *rows)))
