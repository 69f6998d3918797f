"""Sources that are made of others."""

from cvport.errors import InputError
from cvport.runtimes.sources.base import Chain, Item, Items


class Endless:
    total = None
    notes = ("it does not end",)

    def __iter__(self):
        number = 0
        while True:
            yield Item("camera", frame=number, time_s=number / 25)
            number += 1


def test_chain_keeps_the_order_and_adds_up():
    one, two, three = (Item(name, error=InputError("none")) for name in "abc")
    chain = Chain([Items([one, two]), Items([]), Items([three])])
    assert list(chain) == [one, two, three]
    assert chain.total == 3


def test_chain_with_a_source_that_does_not_end():
    chain = Chain([Items([Item("a")]), Endless(), Items([Item("z")])])
    assert chain.total is None
    assert chain.notes == ["it does not end"]
    items = iter(chain)
    got = [next(items) for _ in range(3)]
    assert [(item.name, item.frame, item.time_s) for item in got] == [
        ("a", None, None),
        ("camera", 0, 0.0),
        ("camera", 1, 0.04),
    ]
