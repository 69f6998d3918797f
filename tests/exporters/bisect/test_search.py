"""The search itself, on chains of operators of which one or several are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cvport.exporters.bisect.graph import Network, Operator, find_cuts
from cvport.exporters.bisect.search import Search, worst_inputs
from cvport.runtimes.parity.tensors import measure_tensor

LENGTH = 37
INPUTS = {"x0": np.linspace(-1, 1, 50, dtype=np.float32)}


class Chain:
    """x -> 0.3 - 0.99 x -> ..., an operator a value; what is in *wrong* adds something."""

    def __init__(self, wrong=None, fused=(), length=LENGTH):
        self.outputs = (f"x{length}",)
        self.values = frozenset(f"x{i}" for i in range(1, length + 1))
        self.wrong, self.fused, self.ran = wrong or {}, fused, []

    def run(self, rows, wanted):
        return [self.row(given, wanted) for given in rows]

    def row(self, given, wanted):
        made = dict(given)
        self.ran.append((len(given), tuple(wanted)))
        for name in wanted:
            start = max(int(key[1:]) for key in given if int(key[1:]) <= int(name[1:]))
            value = given[f"x{start}"]
            steps = range(start + 1, int(name[1:]) + 1)
            for i in steps:
                value = np.float32(0.3) - value * np.float32(0.99)
                value = value + np.float32(self.wrong.get(i, 0))
                # A fused kernel is wrong only where all of it runs together.
                if self.fused and i == self.fused[-1] and all(step in steps for step in self.fused):
                    value = value + np.float32(0.01)
            made[name] = value
        return {name: made[name] for name in wanted}

    def noise(self, given, made):
        exact = {name: value.astype(np.float64) for name, value in made.items()}
        return {name: measure_tensor(exact[name], made[name] * np.float32(1 + 2**-22)) for name in made}


def network(length=LENGTH):
    operators = tuple(Operator(f"n{i}", "Step", (f"x{i - 1}",), (f"x{i}",)) for i in range(1, length + 1))
    return Network(operators, ("x0",), (f"x{length}",))


def find(candidate, method="find"):
    search = Search(Chain(), candidate)
    cuts = find_cuts(network(), candidate.values)
    return search, getattr(search, method)(cuts, INPUTS, lambda _step: None)


def place(part):
    """The first and the last operator of a part."""
    return part.first.after + 1, part.last.after


@pytest.mark.parametrize("fault", range(1, LENGTH + 1))
def test_one_fault_is_found_wherever_it_is(fault):
    search, part = find(Chain({fault: 0.01}))
    assert place(part) == (fault, fault)
    assert part.introduced.max_abs == pytest.approx(0.01, rel=1e-3)
    assert part.introduced.share > 100
    # The whole, then both halves at most and what lies between, each of three runs, for every halving.
    assert search.runs <= 3 + 7 * math.ceil(math.log2(LENGTH))


def test_the_first_of_several_faults_is_named():
    _, part = find(Chain({9: 0.01, 20: 0.5, 36: 3.0}))
    assert place(part) == (9, 9)


def test_two_right_halves_of_a_wrong_whole_are_a_fused_kernel():
    for fused in ((5, 6), (18, 19), (17, 20), (1, 4), (36, 37), (10, 30)):
        _, part = find(Chain(fused=range(fused[0], fused[1] + 1)))
        assert place(part) == fused


def test_equal_legs_have_no_part():
    search, part = find(Chain())
    assert part is None
    assert search.runs == 3


def test_not_a_number_is_found_too():
    _, part = find(Chain({12: math.nan}))
    assert place(part) == (12, 12)
    assert part.introduced.share == math.inf


def test_a_wider_limit_lets_more_pass():
    candidate = Chain({8: 4e-6})
    cuts = find_cuts(network(), candidate.values)
    assert Search(Chain(), candidate).find(cuts, INPUTS, lambda _step: None) is not None
    assert Search(Chain(), candidate, factor=100).find(cuts, INPUTS, lambda _step: None) is None


def test_no_more_is_kept_than_crosses_a_cut():
    candidate = Chain({30: 0.01})
    find(candidate)
    assert max(given for given, _ in candidate.ran) == 2, "the input and one value"
    assert max(len(wanted) for _, wanted in candidate.ran) == 1


class Branches(Chain):
    """x1 and x2 are made of x0, x3 of both; no value is seen between x0 and x3 but those that *seen* names."""

    def __init__(self, wrong=None, seen=("x1", "x2", "x3")):
        self.outputs, self.values, self.wrong = ("x3",), frozenset(seen), wrong or {}

    def row(self, given, wanted):
        made = dict(given)
        for i in (1, 2):
            if f"x{i}" not in given:
                made[f"x{i}"] = given["x0"] * np.float32(i) + np.float32(self.wrong.get(i, 0))
        made["x3"] = made["x1"] - made["x2"] + np.float32(self.wrong.get(3, 0))
        return {name: made[name] for name in wanted}


@pytest.mark.parametrize("fault", [1, 2, 3])
def test_branches_of_one_part_are_told_apart(fault):
    operators = [Operator(f"n{i}", "Step", ("x0",), (f"x{i}",)) for i in (1, 2)]
    branched = Network((*operators, Operator("n3", "Step", ("x1", "x2"), ("x3",))), ("x0",), ("x3",))
    for seen, named in (({"x1", "x2", "x3"}, [f"n{fault}"]), ({"x3"}, ["n1", "n2", "n3"])):
        candidate = Branches({fault: 0.01}, seen)
        search = Search(Branches(seen=seen), candidate)
        cuts = find_cuts(branched, {"x3"})
        part = search.find(cuts, INPUTS, lambda _step: None)
        group = search.narrow(branched, part, candidate.values)
        assert [operator.name for operator in group.operators] == named
        assert group.introduced.max_abs == pytest.approx(0.01, rel=1e-3)


class Stored(Chain):
    """A chain whose values were made before, from its own inputs."""

    def __init__(self, wrong, kept):
        super().__init__()
        made = Chain(wrong).row(INPUTS, [f"x{i}" for i in range(1, LENGTH + 1)])
        self.stored = {f"x{i}": made[f"x{i}"] for i in (*kept, LENGTH)}
        self.values = frozenset(self.stored)

    def row(self, given, wanted):
        return {name: self.stored[name] if name in self.stored else given[name] for name in wanted}


def test_stored_values_name_the_stretch_between_them():
    kept = range(4, LENGTH, 4)
    for fault in (1, 4, 5, 22, 37):
        search, part = find(Stored({fault: 0.01}, kept), "scan")
        first, last = place(part)
        assert first <= fault <= last
        assert last - first < 4
        assert part.introduced.max_abs < 0.1, "what came before does not count"
        assert search.runs == 3 * math.ceil(fault / 4)
    assert find(Stored({}, kept), "scan")[1] is None


def test_inputs_that_show_the_most_are_looked_at():
    class Seldom(Chain):
        def row(self, given, wanted):
            made = super().row(given, wanted)
            return {name: value + np.float32(given["x0"].max() > 5) for name, value in made.items()}

    length = 3
    rows = [{"x0": np.full(4, value, np.float32)} for value in (0.1, 0.2, 6.0, 0.3, 0.4)]
    search = Search(Chain(length=length), Seldom(length=length))
    inputs, difference = worst_inputs(search, rows)
    assert inputs is rows[2]
    assert difference.share > 1
