"""Items through a predictor in threads: in order, bounded, each failure its own."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from cvport.errors import ArtifactError, InputError
from cvport.runtimes.job import Timing
from cvport.runtimes.sources.base import Item
from cvport.runtimes.stream import answers


def picture(number):
    return np.full((4, 6, 3), number, np.uint8)


class Runner:
    """Answers with the numbers in the images, the earlier the later; counts how many run at once."""

    def __init__(self, slow=0.0, broken=None):
        self.slow, self.broken = slow, broken
        self.lanes, self.now, self.most, self.lock = [self], 0, 0, threading.Lock()
        self.root = self

    def lane(self):
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        self.root.lanes.append(other)
        return other

    def predict_timed(self, images, *, face_boxes=None, on_error="raise"):
        root = self.root
        with root.lock:
            root.now += 1
            root.most = max(root.most, root.now)
        numbers = [int(image[0, 0, 0]) for image in images]
        time.sleep(root.slow * (3 - numbers[0] % 3))
        with root.lock:
            root.now -= 1
        if root.broken in numbers:
            raise ArtifactError("the file is damaged")
        return [f"found {number}" for number in numbers], Timing(1.0, 2.0, 3.0)


def lazy(number, read=None):
    def load():
        if read is not None:
            read.append(number)
        return picture(number)

    return Item(f"{number}.png", read=load)


def collect(stream, got):
    for batch in stream:
        got += batch


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 3])
def test_answers_come_in_order(workers, size):
    runner = Runner(slow=0.003)
    got = [
        answer for batch in answers(map(lazy, range(20)), runner, batch_size=size, workers=workers) for answer in batch
    ]
    assert [answer.result for answer in got] == [f"found {number}" for number in range(20)]
    assert [answer.item.name for answer in got] == [f"{number}.png" for number in range(20)]
    assert all(int(answer.item.image[0, 0, 0]) == number for number, answer in enumerate(got))
    assert len(runner.lanes) == workers
    assert runner.most <= workers


def test_workers_run_at_the_same_time():
    runner = Runner(slow=0.02)
    list(answers(map(lazy, range(6)), runner, workers=2))
    assert runner.most == 2


def test_few_items_are_read_ahead():
    read = []
    ahead = [
        len(read) - index for index, _ in enumerate(answers((lazy(n, read) for n in range(60)), Runner(), workers=2))
    ]
    assert max(ahead) <= 6


def test_what_cannot_be_read_costs_itself():
    def broken():
        raise RecursionError("too deep")

    items = [lazy(0), Item("gone.png", error=InputError("no such file")), Item("bad.png", read=broken), lazy(3)]
    got = [answer.result for batch in answers(items, Runner(), batch_size=4, workers=2) for answer in batch]
    assert got[0] == "found 0"
    assert got[3] == "found 3"
    assert [str(result.message) for result in got[1:3]] == [
        "no such file",
        "cannot read bad.png: RecursionError: too deep",
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_no_item_would_escape_ends_the_run_in_order(workers):
    got = []
    stream = answers(map(lazy, range(9)), Runner(slow=0.001, broken=4), workers=workers)
    with pytest.raises(ArtifactError, match="damaged"):
        collect(stream, got)
    assert [answer.item.name for answer in got] == [f"{number}.png" for number in range(4)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cvport")]


def test_what_was_begun_is_handed_on_when_the_source_is_interrupted():
    def items():
        yield from map(lazy, range(3))
        raise KeyboardInterrupt

    got = []
    with pytest.raises(KeyboardInterrupt):
        collect(answers(items(), Runner(slow=0.01), workers=2), got)
    assert [answer.item.name for answer in got[:2]] == ["0.png", "1.png"]


def test_a_consumer_that_leaves_ends_the_threads():
    stream = answers(map(lazy, range(100)), Runner(), workers=2)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cvport")]
