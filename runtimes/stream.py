"""The way of items through a predictor: read, run and decoded in threads, in order, few in memory at a time."""

from __future__ import annotations

from collections import deque
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import InputError
from .job import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Literal, Self

    import numpy as np
    from numpy.typing import NDArray

    from ..models.results import Result
    from .arguments import Box
    from .sources.base import Item

# Batches that may wait for an earlier one, besides those at work.
_AHEAD = 2


class Runner(Protocol):
    """What of a predictor a stream uses."""

    def predict_timed(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        face_boxes: Sequence[Any] | None,
        on_error: Literal["return"],
    ) -> tuple[list[Result | InputError], Timing]:
        """Return what was found in each image, or why there is nothing, and the mean time per image."""

    def lane(self) -> Self:
        """Return a runner for another thread."""


class Answer(NamedTuple):
    """What became of one item.

    Attributes:
        item: The item, with its image where it could be read.
        result: What was found, or why there is nothing.
        timing: The mean of the items that ran together.

    """

    item: Item
    result: Result | InputError
    timing: Timing


def answers(
    items: Iterable[Item],
    runner: Runner,
    *,
    batch_size: int = 1,
    face_boxes: Sequence[Box] | Callable[[Item], Any] | None = None,
    workers: int = 1,
) -> Generator[list[Answer]]:
    """Yield what became of each batch of items, in order.

    Args:
        items: What to run. They are taken in this thread, and read in others where they can be.
        runner: What runs them.
        batch_size: Items that are run together.
        face_boxes: Boxes to look at in every image, (F, 4) x1 y1 x2 y2 in pixels; None for the whole image; or
            what returns those of an item.
        workers: Threads that read, run and decode; with 1 all is done in this one. Memory holds so many batches and
            two more.

    Raises:
        CvportError: Something that no other item would escape, such as a damaged network.

    """
    batches = _batches(items, batch_size)
    if workers <= 1:
        for batch in batches:
            yield _answer(batch, runner, face_boxes)
        return
    yield from _in_threads(batches, runner, face_boxes, workers)


def _in_threads(
    batches: Iterator[list[Item]],
    runner: Runner,
    face_boxes: Sequence[Box] | Callable[[Item], Any] | None,
    workers: int,
) -> Generator[list[Answer]]:
    from concurrent.futures import ThreadPoolExecutor  # one image needs none

    free: SimpleQueue[Runner] = SimpleQueue()
    for lane in (runner, *(runner.lane() for _ in range(workers - 1))):
        free.put(lane)

    def work(batch: list[Item]) -> list[Answer]:
        lane = free.get()
        try:
            return _answer(batch, lane, face_boxes)
        finally:
            free.put(lane)

    waiting: deque[Future[list[Answer]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cvport")
    try:
        for batch in batches:
            waiting.append(pool.submit(work, batch))
            while waiting and (waiting[0].done() or len(waiting) >= workers + _AHEAD):
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    except KeyboardInterrupt:
        # What was done, and what was begun, is handed on: it would have to be done again.
        while waiting and not waiting[0].cancel():
            yield _first(waiting)
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _first(waiting: deque[Future[list[Answer]]]) -> list[Answer]:
    """Wait for the first of some answers and take it; Ctrl-C leaves it where it is."""
    result = waiting[0].result()
    waiting.popleft()
    return result


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _answer(
    batch: Sequence[Item], runner: Runner, face_boxes: Sequence[Box] | Callable[[Item], Any] | None
) -> list[Answer]:
    """Read and run some items together."""
    loaded = [item.loaded() for item in batch]
    images = [item.image for item in loaded if item.image is not None]
    results: Iterator[Result | InputError] = iter(())
    timing = Timing(0.0, 0.0, 0.0)
    if images:
        good = [item for item in loaded if item.image is not None]
        boxes = None
        if face_boxes is not None:
            boxes = [face_boxes(item) if callable(face_boxes) else face_boxes for item in good]
        found, timing = runner.predict_timed(images, face_boxes=boxes, on_error="return")
        results = iter(found)
    return [Answer(item, next(results) if item.image is not None else _reason(item), timing) for item in loaded]


def _reason(item: Item) -> InputError:
    return item.error or InputError(f"{item.name} gives no image")
