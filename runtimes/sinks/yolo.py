"""Results as YOLO's text files, one for each image: the format of its datasets, with the score behind each box."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from .output import Names, write_whole

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .base import Failure, Prediction, RunInfo


class YoloSink:
    """Writes ``class x y width height score`` a line, centre and size as shares of the image (docs.ultralytics.com).

    Args:
        info: What is the same for all results.
        folder: Where the files go.

    Raises:
        UsageError: Entries of this kind of result have no class.

    """

    def __init__(self, info: RunInfo, folder: Path) -> None:
        if not info.kind.selects_classes:
            raise UsageError(
                f"yolo has no place for {info.kind.name}: its lines are boxes with a class", "Use --format jsonl."
            )
        self._names = Names(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, prediction: Prediction) -> None:
        """Write the file of an image; it is empty where nothing was found.

        Raises:
            InputError: It cannot be written.

        """
        frame = "" if prediction.frame is None else f"_{prediction.frame:06d}"
        path = self._names.take(f"{Path(prediction.source).stem}{frame}", ".txt")
        lines = []
        for entry in prediction.result.to_dict()["detections"]:
            x1, y1, x2, y2 = entry["box"]
            across = ((x1 + x2) / 2 / prediction.width, (x2 - x1) / prediction.width)
            down = ((y1 + y2) / 2 / prediction.height, (y2 - y1) / prediction.height)
            values = (across[0], down[0], across[1], down[1], entry["score"])
            lines.append(f"{entry['class_id']} {' '.join(f'{value:.6f}' for value in values)}\n")
        write_whole(path, "".join(lines).encode())

    def fail(self, failure: Failure) -> None:
        """Do nothing: there is no file without a result."""
