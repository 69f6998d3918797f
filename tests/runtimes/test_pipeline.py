"""A stream: in order, bounded, one bad item costs that item, Ctrl-C keeps what there is."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from cvport import Detections, InputError
from cvport.errors import ArtifactError
from cvport.runtimes import pipeline
from cvport.runtimes.job import Timing
from cvport.runtimes.pipeline import Summary
from cvport.runtimes.sources.base import Item, Items


def image(number):
    return np.full((4, 6, 3), number, np.uint8)


def items(count):
    return [Item(f"{number}.png", image(number), frame=number, time_s=number / 10) for number in range(count)]


def found(count):
    boxes = np.zeros((count, 4), np.float32)
    return Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int64), ("hand",) * count)


class Predictor:
    """Finds as many things as the pixels say; *bad* images are refused, the first *cold* runs warm up."""

    def __init__(self, bad=(), cold=0):
        self.bad, self.cold, self.batches, self.boxes = bad, cold, [], []

    def predict_timed(self, images, *, face_boxes=None, on_error="raise"):
        assert on_error == "return"
        self.batches.append(len(images))
        self.boxes.append(face_boxes)
        numbers = [int(image[0, 0, 0]) for image in images]
        results = [InputError(f"{number} is bad") if number in self.bad else found(number) for number in numbers]
        return results, Timing(1.0, 10.0 * len(self.batches), 0.5, warmup=len(self.batches) <= self.cold)


class Sink:
    """Notes what it gets; *does* is called with each prediction."""

    def __init__(self, does=lambda prediction: None):
        self.does, self.got, self.left = does, [], None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.left = kind

    def write(self, prediction):
        self.does(prediction)
        self.got.append(prediction.source)

    def fail(self, failure):
        self.got.append(f"{failure.source}: {failure.error.message}")


def test_results_come_in_order_with_all_that_is_known_of_an_item():
    seen = []
    sink = Sink(seen.append)
    summary = pipeline.run(Items(items(3)), Predictor(), [sink])
    assert sink.got == ["0.png", "1.png", "2.png"]
    assert sink.left is None
    assert [(p.width, p.height, p.frame, p.time_s, len(p.result)) for p in seen] == [
        (6, 4, 0, 0.0, 0),
        (6, 4, 1, 0.1, 1),
        (6, 4, 2, 0.2, 2),
    ]
    np.testing.assert_array_equal(seen[2].image, image(2))
    assert (summary.images, summary.errors, summary.found, summary.interrupted) == (3, 0, 3, False)


@pytest.mark.parametrize(("size", "batches"), [(1, [1] * 5), (2, [2, 2, 1]), (9, [5])])
def test_batches(size, batches):
    predictor = Predictor()
    pipeline.run(Items(items(5)), predictor, [], batch_size=size)
    assert predictor.batches == batches


def test_no_more_than_a_batch_is_read_ahead():
    read, sink = [], Sink(lambda prediction: seen.append(len(read)))
    seen = []

    class Source:
        total = None

        def __iter__(self):
            for item in items(6):
                read.append(item.name)
                yield item

    pipeline.run(Source(), Predictor(), [sink], batch_size=2)
    assert seen == [2, 2, 4, 4, 6, 6]


def test_boxes_are_looked_at_in_every_image():
    predictor, boxes = Predictor(), [(1.0, 2.0, 3.0, 4.0)]
    pipeline.run(Items(items(3)), predictor, [], batch_size=2, face_boxes=boxes)
    assert predictor.boxes == [[boxes, boxes], [boxes]]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_bad_items_cost_only_themselves(size):
    given = items(4)
    given[1] = Item("gone.png", error=InputError("no such file"))
    sink, other = Sink(), Sink()
    summary = pipeline.run(Items(given), Predictor(bad=[2]), [sink, other], batch_size=size)
    assert sink.got == other.got == ["0.png", "gone.png: no such file", "2.png: 2 is bad", "3.png"]
    assert (summary.images, summary.errors) == (2, 2)


def test_what_one_sink_cannot_write_is_a_failure_for_all():
    def full(prediction):
        if prediction.source == "1.png":
            raise InputError("disk full")

    good, bad = Sink(), Sink(full)
    summary = pipeline.run(Items(items(3)), Predictor(), [good, bad])
    assert good.got == ["0.png", "1.png", "1.png: disk full", "2.png"]
    assert bad.got == ["0.png", "1.png: disk full", "2.png"]
    assert (summary.images, summary.errors) == (3, 1)


def test_error_that_no_item_escapes_ends_the_run_and_closes_the_sinks():
    class Damaged(Predictor):
        def predict_timed(self, images, **options):
            raise ArtifactError("not finite")

    sink = Sink()
    with pytest.raises(ArtifactError, match="not finite"):
        pipeline.run(Items(items(2)), Damaged(), [sink])
    assert (sink.got, sink.left) == ([], ArtifactError)


# --- figures


def test_means_leave_the_warm_up_out():
    summary = pipeline.run(Items(items(5)), Predictor(cold=1), [], batch_size=2)
    # The batches are of 2, 2 and 1 images and take 10, 20 and 30 ms per image; the first warms up.
    assert (summary.images, summary.timed) == (5, 3)
    assert summary.mean_ms == pytest.approx((1.0, 70 / 3, 0.5))
    assert summary.seconds > 0
    assert summary.rate == 3 / summary.seconds


def test_run_that_only_warms_up_has_no_times():
    summary = pipeline.run(Items(items(2)), Predictor(cold=9), [])
    assert (summary.images, summary.mean_ms, summary.rate) == (2, None, None)
    assert (Summary().mean_ms, Summary().rate) == (None, None)


def test_rate_counts_reading_and_writing():
    summary = pipeline.run(Items(items(2)), Predictor(cold=1), [Sink(lambda prediction: time.sleep(0.02))])
    assert summary.timed == 1
    assert 0.02 <= summary.seconds < 0.04, "of the second image alone"


# --- Ctrl-C


def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_while_the_network_runs_keeps_what_was_handed_out():
    class Slow(Predictor):
        def predict_timed(self, images, **options):
            if len(self.batches) == 2:
                interrupt()
            return super().predict_timed(images, **options)

    sink = Sink()
    summary = pipeline.run(Items(items(5)), Slow(), [sink])
    assert (summary.interrupted, summary.images, sink.got) == (True, 2, ["0.png", "1.png"])
    assert sink.left is None, "left in good order"


def test_interrupt_waits_until_every_sink_has_the_result():
    first, second = Sink(lambda prediction: prediction.source == "1.png" and interrupt()), Sink()
    summary = pipeline.run(Items(items(5)), Predictor(), [first, second])
    assert first.got == second.got == ["0.png", "1.png"]
    assert (summary.interrupted, summary.images) == (True, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_waits_until_the_sinks_are_closed():
    class Closing(Sink):
        def __exit__(self, kind, error, trace):
            interrupt()
            self.left = "closed"

    sink = Closing()
    summary = pipeline.run(Items(items(1)), Predictor(), [sink])
    assert (summary.interrupted, sink.left) == (True, "closed")


def test_second_interrupt_does_not_wait():
    def stuck(prediction):
        interrupt()
        interrupt()
        raise AssertionError("not reached")

    summary = pipeline.run(Items(items(2)), Predictor(), [Sink(stuck)])
    assert summary.interrupted


@contextmanager
def handler(new):
    before = signal.signal(signal.SIGINT, new)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_handler_of_the_program_is_left_alone():
    seen = []
    with handler(lambda *_: seen.append("theirs")):
        summary = pipeline.run(Items(items(2)), Predictor(), [Sink(interrupt)])
    assert seen == ["theirs", "theirs"]
    assert not summary.interrupted


def test_runs_in_a_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(pipeline.run(Items(items(3)), Predictor(), [Sink()])))
    thread.start()
    thread.join()
    assert done[0].images == 3
