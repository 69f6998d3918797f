"""What a series of times says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PERCENTILES = (50, 90, 95, 99)
# A series is stable when the medians of its last two windows agree.
WINDOW, AGREEMENT = 20, 0.02


class Summary(NamedTuple):
    """Milliseconds of a batch.

    Attributes:
        mean: Arithmetic mean.
        std: Standard deviation, of a sample.
        least: The shortest.
        percentiles: By their number: 50, 90, 95 and 99.

    """

    mean: float
    std: float
    least: float
    percentiles: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        named = {f"p{number}": value for number, value in self.percentiles.items()}
        return {"mean": self.mean, "std": self.std, "min": self.least, **named}


def summarise(series: Sequence[float]) -> Summary:
    """Return the statistics of a series of at least one time."""
    values = np.asarray(series, np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    found = np.percentile(values, PERCENTILES)
    by_number = {number: float(value) for number, value in zip(PERCENTILES, found, strict=True)}
    return Summary(float(values.mean()), std, float(values.min()), by_number)


def is_stable(series: Sequence[float]) -> bool:
    """Tell whether the medians of the last two windows of a series agree."""
    if len(series) < 2 * WINDOW:
        return False
    before, after = np.median(series[-2 * WINDOW : -WINDOW]), np.median(series[-WINDOW:])
    return bool(abs(after - before) <= AGREEMENT * before)
