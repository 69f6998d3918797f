"""The search for the part of a network that computes something else than its reference does.

The network is cut in two; the first half is run on what goes in, the second on the reference's values at the cut. A
half that differs beyond the reference's own rounding is searched further. So each step runs half of the rest, no more
values are kept than cross one cut, and what was wrong before a part does not count as its mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...runtimes.parity.limits import SMALLEST_RELATIVE, share_of_limit
from ...runtimes.parity.tensors import measure_tensor
from .graph import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from ...runtimes.backends.base import Array
    from ...runtimes.parity.tensors import TensorStats
    from .graph import Cut, Network, Operator
    from .sides import ReferenceSide, Side

# As in the gate: two correct computations differ by a few times the rounding error of either.
SAFETY = 10.0
# Inputs on which the outputs are compared with limits of their own: those that differ most.
_JUDGED = 3


class Difference(NamedTuple):
    """How the worst of some values differs.

    Attributes:
        value: Its name.
        shape: Of it.
        max_abs: Largest absolute difference.
        limit: What it may be: ten times the reference's own rounding error.
        cosine: Of the angle between the two as vectors.

    """

    value: str
    shape: tuple[int, ...]
    max_abs: float
    limit: float
    cosine: float

    @property
    def share(self) -> float:
        """Of the limit."""
        return share_of_limit("max_abs", self.max_abs, self.limit) if self.max_abs == self.max_abs else float("inf")


class Part(NamedTuple):
    """The smallest part that was found to differ.

    Attributes:
        first: The cut before it.
        last: The cut after it.
        introduced: What it gets wrong on the reference's own values.
        given: These values.

    """

    first: Cut
    last: Cut
    introduced: Difference
    given: Mapping[str, Array]


class Group(NamedTuple):
    """What a search ends with: operators that cannot be told apart, mostly one.

    Attributes:
        operators: In the order in which they run.
        values: What they make, as far as it was compared.
        introduced: What they get wrong on the reference's own values.
        given: These values.

    """

    operators: tuple[Operator, ...]
    values: tuple[str, ...]
    introduced: Difference
    given: Mapping[str, Array]


@dataclass
class Search:
    """A search between two sides.

    Attributes:
        reference: Taken for right.
        candidate: The other.
        factor: How many times further the limits are, as for a device that computes otherwise.
        runs: Runs so far, of either.

    """

    reference: ReferenceSide
    candidate: Side
    factor: float = 1.0
    runs: int = field(default=0, init=False)

    def compare(self, given: Mapping[str, Array], wanted: Sequence[str]) -> Difference:
        """Return how the worst of some values differs, made by both from the same."""
        (right,) = self.reference.run([given], wanted)
        (other,) = self.candidate.run([given], wanted)
        floors = self.reference.noise(given, right)
        self.runs += 3
        found = [self._difference(name, right[name], other[name], floors[name]) for name in wanted]
        return max(found, key=lambda difference: difference.share)

    def _difference(self, name: str, right: Array, other: Array, floor: TensorStats) -> Difference:
        if right.shape != other.shape:
            return Difference(name, right.shape, float("inf"), 0.0, 0.0)
        stats = measure_tensor(right, other)
        largest = float(abs(right).max()) if right.size else 0.0
        limit = self.factor * max(SAFETY * floor.max_abs, SMALLEST_RELATIVE * largest)
        return Difference(name, right.shape, stats.max_abs if stats.finite else float("nan"), limit, stats.cosine)

    def find(self, cuts: Sequence[Cut], inputs: Mapping[str, Array], step: Callable[[str], None]) -> Part | None:
        """Return the smallest part between two cuts that differs; None where nothing does when it is cut anywhere.

        Args:
            cuts: From the inputs to the outputs.
            inputs: What goes in.
            step: Called before each run with what is looked at.

        """
        low, high = 0, len(cuts) - 1
        given: Mapping[str, Array] = inputs
        found = self._part(cuts, low, high, given, step)
        if found is None:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            half = self._part(cuts, low, middle, given, step)
            if half is not None:
                high, found = middle, half
                continue
            after = self._carry(inputs, given, cuts[middle])
            half = self._part(cuts, middle, high, after, step)
            if half is None:
                # Each half is right by itself: what is wrong needs both, as kernels do that are fused across the cut.
                return self._shrink(cuts, found, (low, high), inputs, step)
            low, found, given = middle, half, after
        return found

    def scan(self, cuts: Sequence[Cut], inputs: Mapping[str, Array], step: Callable[[str], None]) -> Part | None:
        """Return the first part between neighbouring cuts that differs, where the candidate's values are stored.

        Each part is run by the reference on what the candidate had before it.
        """
        given: Mapping[str, Array] = inputs
        for low in range(len(cuts) - 1):
            found = self._part(cuts, low, low + 1, given, step)
            if found is not None:
                return found
            given = {**inputs, **self.candidate.run([given], cuts[low + 1].live)[0]}
        return None

    def narrow(self, network: Network, part: Part, comparable: Container[str]) -> Group:
        """Return the operators of a part that make its first wrong value: in a part, branches may run side by side."""
        given = dict(part.given)
        for operator in network.operators[part.first.after : part.last.after]:
            for name in operator.outputs:
                if name not in comparable:
                    continue
                difference = self.compare(given, [name])
                if difference.share > 1:
                    numbers = needed(network, given, [name])
                    return Group(tuple(network.operators[number] for number in numbers), (name,), difference, given)
                given |= self.reference.run([given], [name])[0]
                self.runs += 1
        whole = network.operators[part.first.after : part.last.after]
        return Group(whole, part.last.live, part.introduced, part.given)

    def _part(
        self, cuts: Sequence[Cut], low: int, high: int, given: Mapping[str, Array], step: Callable[[str], None]
    ) -> Part | None:
        step(f"operators {cuts[low].after + 1} to {cuts[high].after}")
        difference = self.compare(given, cuts[high].live)
        return Part(cuts[low], cuts[high], difference, given) if difference.share > 1 else None

    def _carry(self, inputs: Mapping[str, Array], given: Mapping[str, Array], cut: Cut) -> dict[str, Array]:
        """Return the reference's values at a cut, and the inputs, whose shapes may be asked for anywhere."""
        self.runs += 1
        return {**inputs, **self.reference.run([given], cut.live)[0]}

    def _shrink(
        self,
        cuts: Sequence[Cut],
        found: Part,
        bounds: tuple[int, int],
        inputs: Mapping[str, Array],
        step: Callable[[str], None],
    ) -> Part:
        """Return the smallest part around a fused one: its end first, then its beginning."""
        start, high = bounds
        given = found.given
        least, most = start + 1, high
        while least < most:
            middle = (least + most) // 2
            half = self._part(cuts, start, middle, given, step)
            if half is None:
                least = middle + 1
            else:
                most, found = middle, half
        end = most
        least, most = start, end - 1
        while least < most:
            middle = (least + most + 1) // 2
            half = self._part(cuts, middle, end, self._carry(inputs, given, cuts[middle]), step)
            if half is None:
                most = middle - 1
            else:
                least, found = middle, half
        return found


def largest_difference(first: Array, second: Array) -> float:
    """Return how far two values of any type are apart at most; infinitely where their shapes differ."""
    if first.shape != second.shape:
        return float("inf")
    # Truth values cannot be subtracted, and small whole numbers would wrap.
    return float(np.abs(first.astype(np.float64) - second.astype(np.float64)).max(initial=0.0))


def worst_inputs(search: Search, rows: Sequence[Mapping[str, Array]]) -> tuple[Mapping[str, Array], Difference]:
    """Return the inputs on which the outputs differ by the largest share of their limits, and that difference."""
    names = search.reference.outputs
    right = search.reference.run(rows, names)
    other = search.candidate.run(rows, names)
    floors = search.reference.noise(rows[0], right[0])
    search.runs += 2 * len(rows) + 1
    limits = {
        name: max(SAFETY * floors[name].max_abs, SMALLEST_RELATIVE * float(abs(right[0][name]).max()), 1e-30)
        for name in names
    }
    shares = []
    for first, second in zip(right, other, strict=True):
        with np.errstate(invalid="ignore"):
            share = max(largest_difference(first[name], second[name]) / limits[name] for name in names)
        shares.append(share if np.isfinite(share) else np.inf)
    order = sorted(range(len(rows)), key=lambda index: -shares[index])[:_JUDGED]
    judged = [(rows[index], search.compare(rows[index], names)) for index in order]
    return max(judged, key=lambda entry: entry[1].share)
