"""What a sink is: it takes results as they come, and is told what is the same for the whole run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..kinds.registry import get_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from ...errors import CvportError
    from ...models.results import Result
    from ...models.spec import ModelSpec
    from ..chain import Chain
    from ..job import Timing
    from ..kinds.base import Kind
    from ..predictor import Predictor

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunInfo:
    """What is the same for all results of a run.

    Attributes:
        spec: The model.
        backend: Name of the backend.
        device: Device that it ran on.
        untrained: Whether the weights are made up.
        labels: Class names.
        names: What people read instead of some labels.
        settings: What the numbers of a device depend on.
        chained: Whether results are those of models in a row.

    """

    spec: ModelSpec
    backend: str
    device: str
    untrained: bool = False
    labels: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    chained: bool = False

    @classmethod
    def of(cls, predictor: Predictor | Chain, names: Mapping[str, str]) -> Self:
        """Return what a predictor says about its runs."""
        backend = predictor.backend
        return cls(
            predictor.spec,
            backend.name,
            backend.device,
            predictor.untrained,
            predictor.labels,
            names,
            backend.settings,
            hasattr(predictor, "stages"),
        )

    @property
    def kind(self) -> Kind:
        """The kind of result of the model."""
        return get_kind(self.spec.kind)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The result of one image.

    Attributes:
        source: Name of the image, as its source gives it.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        result: What was found.
        timing: Milliseconds by stage, the mean of the images that ran together.
        image: (h, w, 3) uint8 BGR.
        frame: Number of the frame in its video; None for a still image.
        time_s: Seconds since the start of the video; None for a still image.

    """

    source: str
    width: int
    height: int
    result: Result
    timing: Timing
    image: NDArray[np.uint8] = field(repr=False)
    frame: int | None = None
    time_s: float | None = None

    @property
    def warmup(self) -> bool:
        """Whether the backend warmed up in the run that gave this result, so that its timing is no measurement."""
        return self.timing.warmup

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        timing = self.timing._asdict()
        warmup = timing.pop("warmup")
        return {
            **_place(self),
            "width": self.width,
            "height": self.height,
            **self.result.to_dict(),
            "timing_ms": {stage: round(ms, 3) for stage, ms in timing.items()},
            **({"warmup": True} if warmup else {}),
        }


@dataclass(frozen=True)
class Failure:
    """An image that gave no result, or whose result could not be written.

    Attributes:
        source: Name of the image, as its source gives it.
        error: Why.
        frame: Number of the frame in its video; None for a still image.
        time_s: Seconds since the start of the video; None for a still image.

    """

    source: str
    error: CvportError
    frame: int | None = None
    time_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: where, and the code and message of the error."""
        return {**_place(self), "code": self.error.exit_code, "message": self.error.message}


def _place(given: Prediction | Failure) -> dict[str, Any]:
    time = {"frame": given.frame, "time_s": given.time_s}
    return {"source": given.source, **{name: value for name, value in time.items() if value is not None}}


class Sink(Protocol):
    """Takes the results of a run in order, each when it is made.

    It is entered before the first and left after the last, also where the run is interrupted: what was written until
    then is kept, and is well formed.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, prediction: Prediction) -> None:
        """Take a result.

        Raises:
            InputError: It cannot be written; the run goes on.

        """

    def fail(self, failure: Failure) -> None:
        """Take a failure."""
