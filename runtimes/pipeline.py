"""From a source through a predictor to sinks: in order, few images in memory at a time, interruptible."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .job import memory_told
from .sinks.base import Failure, Prediction
from .stream import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from .arguments import Box
    from .sinks.base import Sink
    from .sources.base import Item, Source
    from .stream import Answer, Runner


@dataclass
class Summary:
    """What a run did. Images in whose run the backend warmed up are left out of times.

    Attributes:
        images: Images that gave a result.
        errors: Failures: images without a result, and results that a sink could not write.
        found: Detections, faces or classes of all images together.
        timed: Images that the times below are of.
        stage_ms: Milliseconds of preprocessing, network and postprocessing, summed over those images.
        seconds: Spent on those images, from reading to the last sink.
        interrupted: Whether Ctrl-C ended the run.

    """

    images: int = 0
    errors: int = 0
    found: int = 0
    timed: int = 0
    stage_ms: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def mean_ms(self) -> tuple[float, float, float] | None:
        """Mean milliseconds of preprocessing, network and postprocessing; None where nothing was timed."""
        if not self.timed:
            return None
        preprocess, network, postprocess = (ms / self.timed for ms in self.stage_ms)
        return preprocess, network, postprocess

    @property
    def rate(self) -> float | None:
        """Images a second, reading and writing included; None where nothing was timed."""
        return self.timed / self.seconds if self.timed and self.seconds > 0 else None

    def count(self, prediction: Prediction) -> None:
        """Add a result."""
        self.images += 1
        self.found += len(prediction.result)
        if not prediction.warmup:
            self.timed += 1
            spent = prediction.timing[: len(self.stage_ms)]
            preprocess, network, postprocess = (ms + more for ms, more in zip(self.stage_ms, spent, strict=True))
            self.stage_ms = preprocess, network, postprocess


def run(
    source: Source,
    predictor: Runner,
    sinks: Sequence[Sink],
    *,
    batch_size: int = 1,
    face_boxes: Sequence[Box] | Callable[[Item], Any] | None = None,
    workers: int = 1,
    after: Callable[[Item], None] = lambda _item: None,
) -> Summary:
    """Run every item of a source and hand its result, or the reason why there is none, to each sink in turn.

    An item that cannot be used costs that item alone. Ctrl-C ends the run between two results; the sinks are left in
    good order, and the summary says so.

    Args:
        source: Where images come from.
        predictor: What runs them.
        sinks: Where results go. They are entered and left here.
        batch_size: Items that are run together.
        face_boxes: Boxes to look at in every image, (F, 4) x1 y1 x2 y2 in pixels; None for the whole image; or
            what returns those of an item.
        after: Called with each item when all sinks have had it.
        workers: Threads that read, run and decode, see `stream.answers`; sinks are called in this thread.

    Raises:
        CvportError: Something that no other item would escape, such as a damaged network.

    """
    summary = Summary()
    with ExitStack() as stack:
        for sink in sinks:
            stack.enter_context(sink)
        try:
            batches = answers(source, predictor, batch_size=batch_size, face_boxes=face_boxes, workers=workers)
            stack.callback(batches.close)
            _hand_out_all(batches, sinks, summary, after)
        except KeyboardInterrupt:
            summary.interrupted = True
        try:
            with _held_back():
                stack.pop_all().close()
        except KeyboardInterrupt:
            summary.interrupted = True
    return summary


def _hand_out_all(
    batches: Generator[list[Answer]], sinks: Sequence[Sink], summary: Summary, after: Callable[[Item], None]
) -> None:
    """Give all answers to the sinks, and count the time of those that took part in no warm-up."""
    last = time.perf_counter()

    def hand_out(batch: list[Answer]) -> None:
        nonlocal last
        timed = summary.timed
        for answer in batch:
            with _held_back():
                _hand_out(_filed(answer), sinks, summary)
                after(answer.item)
        now = time.perf_counter()
        if summary.timed > timed:
            summary.seconds += now - last
        last = now

    try:
        for batch in batches:
            hand_out(batch)
    except KeyboardInterrupt:
        with suppress(KeyboardInterrupt):
            hand_out(batches.throw(KeyboardInterrupt))  # it hands on what was begun, and raises that again
            for batch in batches:
                hand_out(batch)
        raise


def _filed(answer: Answer) -> Prediction | Failure:
    """Return an answer as sinks take it."""
    item, result, timing = answer
    if isinstance(result, InputError) or item.image is None:
        return _failure(item, result if isinstance(result, InputError) else InputError(f"{item.name} gives no image"))
    height, width = item.image.shape[:2]
    return Prediction(item.name, width, height, result, timing, item.image, item.frame, item.time_s)


def _failure(item: Item | Prediction, error: InputError) -> Failure:
    name = item.source if isinstance(item, Prediction) else item.name
    return Failure(name, error, item.frame, item.time_s)


def _hand_out(answer: Prediction | Failure, sinks: Sequence[Sink], summary: Summary) -> None:
    """Give a result or a failure to each sink; what one of them cannot write is a failure for all."""
    failures = [answer] if isinstance(answer, Failure) else []
    if isinstance(answer, Prediction):
        for sink in sinks:
            try:
                with memory_told():
                    sink.write(answer)
            except InputError as error:
                failures.append(_failure(answer, error))
        summary.count(answer)
    for failure in failures:
        summary.errors += 1
        for sink in sinks:
            with suppress(InputError):  # a full disk, of which the first sink has told
                sink.fail(failure)


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the block is left, so that no sink stops in the middle of a result.

    A second Ctrl-C is not held back: a sink may wait for a reader that does not read. Does nothing where another
    handler is set, and outside the main thread, which is the only one that Ctrl-C interrupts.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    caught = False

    def note(_number: int, _frame: object) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if caught:
        raise KeyboardInterrupt
