"""Where two legs part: the stage, then the operator, with what reproduces it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .graph import find_cuts
from .kept import keep_group
from .pairs import Request, open_pair
from .search import Search, largest_difference, worst_inputs
from .stages import stage_after, stage_before

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ...runtimes.backends.base import Array
    from .graph import Cut, Operator
    from .pairs import Pair
    from .search import Difference, Group

SCHEMA_VERSION = 1
# Values of the error curve, and how many of them are kept at a time.
_CURVE, _ALIVE = 24, 8


@dataclass(frozen=True)
class First:
    """The first operator whose own inputs, taken from the reference, give something else.

    Attributes:
        operators: It, or the group that cannot be looked into.
        introduced: What it gets wrong by itself.
        inherited: What was wrong before it; 0 where nothing was.

    """

    operators: tuple[Operator, ...]
    introduced: Difference
    inherited: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        last = self.operators[-1]
        grouped = len(self.operators) > 1
        return {
            "node": last.name,
            "op_type": last.kind,
            "module": last.module,
            "introduced": _finite(self.introduced.max_abs),
            "inherited": _finite(self.inherited),
            "limit": self.introduced.limit,
            "interval": [self.operators[0].name, last.name] if grouped else None,
        }


class Point(NamedTuple):
    """One value of the error curve: how far the legs have come apart there, all before it included."""

    after: int
    node: str
    value: str
    max_abs: float
    max_rel: float


@dataclass(frozen=True)
class Finding:
    """What a search found.

    Attributes:
        verdict: "same" or "diverges".
        stage: "preprocess", "network" or "postprocess"; None where nothing differs.
        first: The first operator, of the stage "network".
        runs: Runs of either leg.
        outputs: How the worst output differs.
        curve: Errors over the network.
        simulated: Whether a device was a simulation.
        captured: Whether the other leg was a capture.
        folder: Where the operator and its inputs are; None where there is nothing to keep.

    """

    verdict: str
    stage: str | None
    first: First | None
    runs: int
    outputs: Difference | None = None
    curve: tuple[Point, ...] = ()
    simulated: bool = False
    captured: bool = False
    folder: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "first": None if self.first is None else self.first.to_dict(),
            "stage": self.stage,
            "runs": self.runs,
            "folder": None if self.folder is None else str(self.folder),
        }

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form with the error curve, as it is kept."""
        curve = [
            {**point._asdict(), "max_abs": _finite(point.max_abs), "max_rel": _finite(point.max_rel)}
            for point in self.curve
        ]
        return {**self.to_dict(), "curve": curve}


def bisect(
    path: Path,
    *,
    weights: str | Path | None = None,
    against: str = "torch",
    output: Path | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda _step: None,
) -> Finding:
    """Return where a file parts from another leg.

    Args:
        path: The file.
        weights: What it was made from; see `cvport.models.weights.files.open_weights`.
        against: "torch", "onnx:unoptimised", "npu", "npu:N", a capture with taps, or another .onnx whose values have
            the same names.
        output: Folder for what reproduces the difference; None: nothing is written.
        offline: Never download.
        cache_dir: Where downloads are kept.
        progress: Called with the name of each step.

    Raises:
        UsageError: There is no such leg, or the file has no seal where one is needed.
        WeightsError: The weights are missing, or not those of the file.
        ArtifactError: A file is damaged, or the two have no names in common.
        InputError: The capture has no taps.
        BackendError: The device is not available.

    """
    with ExitStack() as opened:
        progress("opening both legs")
        request = Request(path, against, weights, {"offline": offline, "cache_dir": cache_dir}, opened)
        return search_pair(open_pair(request), output, progress)


def search_pair(
    pair: Pair, output: Path | None = None, progress: Callable[[str], None] = lambda _step: None
) -> Finding:
    """Return where two legs part; see `bisect`."""
    stage = stage_before(pair)
    if stage is not None:
        return Finding("diverges", stage, None, 0, simulated=pair.simulated)
    progress("comparing the outputs")
    search = Search(pair.reference, pair.candidate, pair.factor)
    inputs, outputs = worst_inputs(search, pair.inputs)
    if outputs.share <= 1:
        stage = stage_after(pair)
        verdict = "same" if stage is None else "diverges"
        return Finding(verdict, stage, None, search.runs, outputs, simulated=pair.simulated)
    comparable = pair.reference.values & pair.candidate.values
    cuts = find_cuts(pair.file.network, comparable)
    part = (search.scan if pair.captured else search.find)(cuts, inputs, progress)
    progress("measuring the error curve")
    curve = _curve(search, pair, cuts, inputs)
    group = None if part is None else search.narrow(pair.file.network, part, comparable)
    first = None if group is None else _first(search, group, inputs)
    folder = None if output is None or group is None else keep_group(output, pair, group)
    finding = Finding("diverges", "network", first, search.runs, outputs, curve, pair.simulated, pair.captured, folder)
    if folder is not None:
        (folder / "bisect.json").write_text(json.dumps(finding.to_record(), indent=1) + "\n", encoding="utf-8")
    return finding


def _first(search: Search, group: Group, inputs: Mapping[str, Array]) -> First:
    """Return the operators of a group, with what was wrong in what they take."""
    made = {name for operator in group.operators for name in operator.outputs}
    taken = dict.fromkeys(name for operator in group.operators for name in operator.inputs)
    names = [name for name in taken if name in group.given and name not in (*made, *inputs)]
    inherited = search.compare(inputs, names).max_abs if names else 0.0
    return First(group.operators, group.introduced, inherited)


def _curve(search: Search, pair: Pair, cuts: Sequence[Cut], inputs: Mapping[str, Array]) -> tuple[Point, ...]:
    """Return how far the legs have come apart at places all over the network; few values are kept at a time."""
    chosen = sorted({round(index) for index in np.linspace(1, len(cuts) - 1, min(_CURVE, len(cuts) - 1))})
    operators = pair.file.network.operators
    places = []
    for index in chosen:
        operator = operators[cuts[index].after - 1]
        name = next((name for name in operator.outputs if name in cuts[index].live), None)
        if name is not None:
            places.append((cuts[index].after, operator.name, name))
    points = []
    for start in range(0, len(places), _ALIVE):
        group = places[start : start + _ALIVE]
        names = [name for _, _, name in group]
        (right,), (other,) = pair.reference.run([inputs], names), pair.candidate.run([inputs], names)
        search.runs += 2
        for after, node, name in group:
            error = largest_difference(right[name], other[name])
            largest = float(abs(right[name]).max(initial=0)) or 1.0
            points.append(Point(after, node, name, error, error / largest))
    return tuple(points)


def _finite(value: float) -> Any:  # noqa: ANN401
    """Return a number that JSON has, or what it is as text."""
    return float(value) if np.isfinite(value) else str(float(value))
