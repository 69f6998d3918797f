"""Batches: what a file makes of a row must not depend on the rows beside it, nor on how many there are.

A constant that should have been the batch size, or a sum over the wrong axis, shows at some sizes and not at others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArtifactError
from ...runtimes.parity.tensors import measure_tensor
from .memory import trim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...runtimes.backends.base import Array, Backend
    from ...runtimes.parity.tensors import TensorStats
    from .reference import LegCase, Reference

# One and two are what exporters treat as special, the others lie on both sides of what kernels work on at a time.
SIZES = (1, 2, 3, 5, 8, 17)
# So many different rows take turns: neighbours differ, and more of them would be run alone for nothing.
_ROWS = 3


@dataclass(frozen=True)
class BatchStats:
    """How the rows of one batch differ from the same rows alone, in one output.

    Attributes:
        size: Rows of the batch.
        what: The output.
        case: Index of the reference's case whose limits hold for these rows: that with the widest.
        equal: Whether all rows are the same to the bit.
        stats: Of the row that differs most.

    """

    size: int
    what: str
    case: int
    equal: bool
    stats: TensorStats


def measure_batches(backend: Backend, reference: Reference, cases: Sequence[LegCase]) -> list[BatchStats]:
    """Run batches of several sizes, and each of their rows alone; a file of a fixed batch, with its rows in turn.

    Args:
        backend: What to run.
        reference: The reference, for its inputs.
        cases: What the backend made of each case: those of one row were run alone already.

    Raises:
        ArtifactError: A batch cannot be run, or its outputs have other shapes.

    """
    sizes = {len(case.inputs) for case in reference.cases}
    trim()  # the largest batch takes most of all
    rows = _rows(reference)
    if len(sizes) == 1:
        return _turned(backend, reference, rows, sizes.pop())
    alone = [
        cases[case].outputs if len(reference.cases[case].inputs) == 1 else _run(backend, reference, inputs[None])
        for inputs, case in rows
    ]
    found = []
    for size in SIZES[1:]:
        chosen = [i % len(rows) for i in range(size)]
        batch = _run(backend, reference, np.stack([rows[i][0] for i in chosen]))
        for name, values in batch.items():
            pairs = [(alone[i][name][0], values[k], rows[i][1]) for k, i in enumerate(chosen)]
            found.append(_compare(size, name, pairs))
    return found


def _turned(backend: Backend, reference: Reference, rows: list[tuple[Array, int]], size: int) -> list[BatchStats]:
    """Compare the rows of a batch with those of the same batch that begins with its second row."""
    if size == 1:
        return []
    chosen = [i % len(rows) for i in range(size)]
    inputs = np.stack([rows[i][0] for i in chosen])
    first, second = (_run(backend, reference, np.roll(inputs, -turn, axis=0)) for turn in (0, 1))
    cases = [rows[i][1] for i in np.roll(chosen, -1)]
    return [
        _compare(size, name, list(zip(np.roll(values, -1, axis=0), second[name], cases, strict=True)))
        for name, values in first.items()
    ]


def _rows(reference: Reference) -> list[tuple[Array, int]]:
    """Return different inputs and the index of the case of each; first of those cases that have one row."""
    found: list[tuple[Array, int]] = []
    for index, case in sorted(enumerate(reference.cases), key=lambda entry: len(entry[1].inputs) > 1):
        for inputs in case.inputs:
            if len(found) < _ROWS and not any(np.array_equal(inputs, other) for other, _ in found):
                found.append((inputs, index))
    return found


def _run(backend: Backend, reference: Reference, inputs: Array) -> dict[str, Array]:
    outputs = backend.run({reference.spec.input_name: inputs})
    for name, expected in reference.cases[0].outputs.items():
        if outputs[name].shape != (len(inputs), *expected.shape[1:]):
            raise ArtifactError(
                f"{name} has the shape {outputs[name].shape} for a batch of {len(inputs)}", "Export it again."
            )
    return {name: outputs[name] for name in reference.cases[0].outputs}


def _compare(size: int, name: str, pairs: list[tuple[Array, Array, int]]) -> BatchStats:
    """Return the statistics of the row that differs most."""
    equal = all(np.array_equal(alone, beside) for alone, beside, _ in pairs)
    if equal:
        alone, beside, case = pairs[0]
        return BatchStats(size, name, case, equal, measure_tensor(alone, beside))
    measured = [(measure_tensor(alone, beside), case) for alone, beside, case in pairs]
    stats, case = max(measured, key=lambda pair: pair[0].max_abs if pair[0].finite else np.inf)
    return BatchStats(size, name, case, equal, stats)
