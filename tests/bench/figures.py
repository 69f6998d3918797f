"""Timing side by side: every figure is a ratio of two things that ran in turns, so that a busy machine slows both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# One run of something: milliseconds by part.
Lap = Mapping[str, float]
Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What was measured.
        against: What it is compared with.
        against_ms: Median.
        own_ms: Median.
        ratio: Median of the ratios of neighbouring runs, own over against.
        quartiles: Of the same ratios.
        runs: How many of each.
        target: The ratio may be at most this; None where the figure is for information.

    """

    what: str
    against: str
    against_ms: float
    own_ms: float
    ratio: float
    quartiles: tuple[float, float]
    runs: int
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.ratio <= self.target

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True)
class Section:
    """A table.

    Attributes:
        title: In a few words.
        rows: Of the table.
        notes: What a reader must know to believe the rows.
        percent: Whether ratios are shown as percentages.
        details: Further figures, for the JSON and below the table.

    """

    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    percent: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        rows = [row.to_dict() for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes, "details": self.details}


def compare(what: str, against: str, against_ms: Samples, own_ms: Samples, target: float | None = None) -> Row:
    """Return the row of two series that were measured in turns."""
    ratios = own_ms / against_ms
    low, high = np.quantile(ratios, (0.25, 0.75)).tolist()
    medians = (float(np.median(values)) for values in (against_ms, own_ms, ratios))
    return Row(what, against, *medians, quartiles=(low, high), runs=len(ratios), target=target)


def in_turns(subjects: Mapping[str, Callable[[], Lap]], runs: int, warm_up: int = 3) -> dict[str, dict[str, Samples]]:
    """Run each subject once, in order, and again *runs* times.

    Returns:
        For each subject, (runs,) milliseconds by part.

    """
    laps: dict[str, list[Lap]] = {name: [] for name in subjects}
    for number in range(warm_up + runs):
        for name, subject in subjects.items():
            lap = subject()
            if number >= warm_up:
                laps[name].append(lap)
    return {
        name: {part: np.array([lap[part] for lap in series]) for part in series[0]} for name, series in laps.items()
    }


def latency(samples: Samples, reference: Samples) -> dict[str, float]:
    """Return what a report on one device says: milliseconds, images a second, speed-up over the reference's mean."""
    p50, p95, p99 = np.quantile(samples, (0.5, 0.95, 0.99)).tolist()
    mean = float(samples.mean())
    quantiles = {"P50": p50, "P95": p95, "P99": p99}
    speed_up = float(reference.mean()) / mean
    return {"mean": mean, "std": float(samples.std()), **quantiles, "FPS": 1000 / mean, "speed-up": speed_up}


def timed(work: Callable[[], object]) -> Callable[[], Lap]:
    """Return a subject of two parts: "total", the time that *work* takes, and "cpu", what this process computes."""

    def run() -> Lap:
        start, cpu = time.perf_counter(), time.process_time()
        work()
        return {"total": 1000 * (time.perf_counter() - start), "cpu": 1000 * (time.process_time() - cpu)}

    return run


class Stopwatch:
    """Splits a pipeline at its network: wraps the network's call and notes when it began and ended."""

    def __init__(self) -> None:
        self._begin = self._end = 0.0

    def around(self, network: Callable[..., Any]) -> Callable[..., Any]:
        """Return *network* with its times noted."""

        def run(*args: Any, **kwargs: Any) -> Any:
            self._begin = time.perf_counter()
            result = network(*args, **kwargs)
            self._end = time.perf_counter()
            return result

        return run

    def lap(self, pipeline: Callable[[], object]) -> Lap:
        """Run a pipeline that calls the wrapped network once; everything around the call is "pre" or "post"."""
        start = time.perf_counter()
        pipeline()
        done = time.perf_counter()
        parts = np.diff([start, self._begin, self._end, done]) * 1000
        pre, network, post = parts.tolist()
        return {"pre": pre, "network": network, "post": post, "pre+post": pre + post, "total": pre + network + post}
