"""Runs a predictor on the images of a truth and keeps the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...errors import InputError
from .. import pipeline
from ..sinks.base import Failure, Prediction
from ..sources.base import Items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from ...models.results import Result
    from ..arguments import Box
    from ..predictor import Predictor
    from ..sinks.base import Sink
    from ..sources.base import Item
    from .base import Truth


class Collected(NamedTuple):
    """What became of some images, by their names.

    Attributes:
        results: What was found.
        failures: The images that gave no result.
        resized: The images that have another size than the truth says.

    """

    results: dict[str, Result]
    failures: list[Failure]
    resized: list[str]


class _Collector:
    """A sink that keeps results, and no images."""

    def __init__(self, truth: Truth) -> None:
        self.collected = Collected({}, [], [])
        self._sizes = truth.sizes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, prediction: Prediction) -> None:
        """Keep a result."""
        name, size = prediction.source, (prediction.width, prediction.height)
        self.collected.results[name] = prediction.result
        if self._sizes.get(name, size) != size:
            self.collected.resized.append(name)

    def fail(self, failure: Failure) -> None:
        """Keep a failure."""
        self.collected.failures.append(failure)


def collect(
    truth: Truth,
    items: Sequence[Item],
    predictor: Predictor,
    sinks: Sequence[Sink] = (),
    *,
    batch_size: int = 1,
    workers: int = 1,
    after: Callable[[Item], None] = lambda _item: None,
) -> Collected:
    """Run a predictor on images, each where the truth says to look.

    Args:
        truth: What is known about the images.
        items: Some of its images.
        predictor: What runs them.
        sinks: Told about each result and failure too.
        batch_size: Images that are run together, where whole images are looked at.
        workers: Images that are worked on at the same time, where whole images are looked at.
        after: Called with each item when it is done.

    Raises:
        CvportError: Something that no other image would escape, such as a damaged network.
        KeyboardInterrupt: The run was interrupted.

    """
    collector = _Collector(truth)
    told = [*sinks, collector]
    if truth.boxes is not None:
        for item in items:
            _run_box(item.loaded(), truth.boxes[item.name], predictor, told)
            after(item)
    elif pipeline.run(Items(items), predictor, told, batch_size=batch_size, workers=workers, after=after).interrupted:
        raise KeyboardInterrupt
    return collector.collected


def _run_box(item: Item, box: Box, predictor: Predictor, sinks: Sequence[Sink]) -> None:
    """Run one part of an image, and tell the sinks what became of it."""
    error = item.error
    if item.image is not None:
        (result,), timing = predictor.predict_timed([item.image], face_boxes=[[box]], on_error="return")
        if not isinstance(result, InputError):
            height, width = item.image.shape[:2]
            for sink in sinks:
                sink.write(Prediction(item.name, width, height, result, timing, item.image))
            return
        error = result
    for sink in sinks:
        sink.fail(Failure(item.name, error or InputError(f"{item.name} gives no image")))
