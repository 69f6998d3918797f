"""Laps of several settings in turns, so that a busy machine slows all of them, until they are stable."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .statistics import Summary, is_stable, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..predictor import Predictor

# Laps before the first that counts, and laps at least and at most where no number is given.
WARM_UP, LEAST, MOST = 5, 50, 1000
# Seconds after which a series that is not stable ends, for each setting.
LONGEST_S = 30.0


class Setting(NamedTuple):
    """What is measured.

    Attributes:
        backend: Name of the backend.
        batch: Images that run together.
        threads: CPU threads of the network; None is the backend's default.

    """

    backend: str
    batch: int
    threads: int | None


@dataclass
class Series:
    """The laps of one setting, in milliseconds of a batch.

    Attributes:
        total: From pixels to results.
        stages: Of preprocessing, network and postprocessing, of an image.
        stable: Whether the series ended as it had become stable, or had as many laps as were asked for.

    """

    total: list[float] = field(default_factory=list)
    stages: list[tuple[float, float, float]] = field(default_factory=list)
    stable: bool = False

    def summary(self) -> Summary:
        """Return the statistics of a batch."""
        return summarise(self.total)

    def stage_means(self) -> tuple[float, float, float]:
        """Return the mean of each stage, in milliseconds of an image."""
        first, second, third = (sum(values) / len(self.stages) for values in zip(*self.stages, strict=True))
        return first, second, third


class Measured(NamedTuple):
    """What was measured.

    Attributes:
        series: The laps of each setting.
        interrupted: Whether Ctrl-C ended it.

    """

    series: dict[Setting, Series]
    interrupted: bool = False


def measure(
    predictors: Mapping[Setting, Predictor],
    images: Sequence[NDArray[np.uint8]],
    *,
    laps: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    after: Callable[[], None] = lambda: None,
) -> Measured:
    """Measure settings in turns. Ctrl-C ends it early; what was measured until then is returned.

    Args:
        predictors: What runs each setting.
        images: (h, w, 3) uint8 BGR, taken in turns.
        laps: Laps of each setting; None goes on until each is stable.
        clock: Seconds.
        after: Called after each lap.

    """
    series = {setting: Series() for setting in predictors}
    try:
        for setting, predictor in predictors.items():
            _warm_up(predictor, images, setting)
        began = clock()
        for lap in range(laps or MOST):
            left = [setting for setting, found in series.items() if not found.stable]
            if not left or (laps is None and clock() - began > LONGEST_S * len(series)):
                break
            for setting in left:
                _lap(predictors[setting], _batch(images, setting.batch, lap), series[setting], clock)
                after()
                found = series[setting]
                done = len(found.total)
                found.stable = done >= laps if laps else done >= LEAST and is_stable(found.total)
    except KeyboardInterrupt:
        return Measured(series, interrupted=True)
    return Measured(series)


def _warm_up(predictor: Predictor, images: Sequence[NDArray[np.uint8]], setting: Setting) -> None:
    for lap in range(WARM_UP):
        predictor.predict_timed(_batch(images, setting.batch, lap))


def _lap(predictor: Predictor, batch: list[Any], series: Series, clock: Callable[[], float]) -> None:
    began = clock()
    _, timing = predictor.predict_timed(batch)
    series.total.append((clock() - began) * 1000)
    series.stages.append((timing.preprocess, timing.network, timing.postprocess))


def _batch(images: Sequence[NDArray[np.uint8]], size: int, lap: int) -> list[Any]:
    return [images[(lap * size + number) % len(images)] for number in range(size)]
