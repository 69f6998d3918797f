"""What comparing decoded results takes for each kind of result: one row of a table a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from .measure import match_detections, measure_classes, measure_landmarks, summarise_matching
from .policy import (
    ClassLimit,
    DecodedLimit,
    DetectionLimit,
    Judgement,
    LandmarkLimit,
    class_limit,
    detection_limit,
    judge_classes,
    judge_detections,
    judge_landmarks,
    landmark_limit,
)

if TYPE_CHECKING:
    from ..models.results import Result
    from ..models.spec import ModelSpec
    from ..runtimes.backend import Array

# Untrained networks and empty pictures: so many best candidates are compared instead of those over the threshold.
BEST = 100
_FLOOR_CANDIDATES = 1000
# Overlaps nearer than this to the suppression threshold may fall on either side of it.
_IOU_SLACK = 2e-3


@dataclass(frozen=True)
class Decoder:
    """A model's postprocessing with its parameters and labels."""

    spec: ModelSpec
    params: Any
    labels: Sequence[str]

    def __call__(
        self,
        outputs: Mapping[str, Array],
        frame: Any,  # noqa: ANN401
        *,
        best: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Decode one row of a batch, with some parameters changed; *best* as `Postprocess` tells."""
        params = replace(self.params, **changes)
        choice = {} if best is None else {"best": best}
        (result,) = self.spec.postprocess(outputs, [frame], params, self.labels, **choice)
        return result


# A row of outputs -> what `Decoder` makes of it, the frame being fixed.
Decode = Callable[..., Any]


class Kind(NamedTuple):
    """How decoded results of one kind are compared.

    Attributes:
        limit_type: The dataclass of its limits.
        derive: (decode, a row of exact outputs, the same row in float32) -> limits, from what rounding does.
        measure: (reference, candidate) -> figures by name.
        judge: (reference, candidate, limits, variants) -> judgement; *variants* gives results of the reference with
            each threshold moved by its tolerance.
        vary: (decode, a row of the reference's outputs, its best, parameters, limits) -> those variants.
        best: Candidates that untrained networks and empty pictures are compared on; None where there are none.

    """

    limit_type: type[DecodedLimit]
    derive: Callable[[Decode, Mapping[str, Array], Mapping[str, Array]], DecodedLimit]
    measure: Callable[[Any, Any], Mapping[str, Any]]
    judge: Callable[[Any, Any, Any, Callable[[], Sequence[Any]]], Judgement]
    vary: Callable[..., Sequence[Result]] = lambda *_: ()
    best: int | None = None


def _derive_detections(decode: Decode, exact: Mapping[str, Array], single: Mapping[str, Array]) -> DetectionLimit:
    # All the best candidates, suppressed or not: the extremes of a few dozen boxes say little about other pictures.
    everything = {"best": _FLOOR_CANDIDATES, "iou_threshold": 1.0, "max_detections": _FLOOR_CANDIDATES}
    return detection_limit(match_detections(decode(exact, **everything), decode(single, **everything)))


def _vary_detections(
    decode: Decode,
    outputs: Mapping[str, Array],
    best: int | None,
    params: Any,  # noqa: ANN401
    limit: DetectionLimit,
) -> list[Result]:
    variants = []
    for sign in (-1, 1):
        # Which candidates are the best hundred is a threshold too.
        count = None if best is None else best + sign * 2
        variants.append(decode(outputs, best=count, score_threshold=params.score_threshold + sign * 2 * limit.score))
        variants.append(decode(outputs, best=best, iou_threshold=params.iou_threshold + sign * _IOU_SLACK))
    return variants


def _derive(
    measure: Callable[[Any, Any], Mapping[str, Any]],
    derive: Callable[[Mapping[str, Any]], DecodedLimit],
    decode: Decode,
    exact: Mapping[str, Array],
    single: Mapping[str, Array],
) -> DecodedLimit:
    return derive(measure(decode(exact), decode(single)))


# By `ModelSpec.result`.
KINDS: Mapping[str, Kind] = {
    "detections": Kind(
        DetectionLimit, _derive_detections, summarise_matching, judge_detections, _vary_detections, BEST
    ),
    "faces": Kind(
        LandmarkLimit, partial(_derive, measure_landmarks, landmark_limit), measure_landmarks, judge_landmarks
    ),
    "scores": Kind(ClassLimit, partial(_derive, measure_classes, class_limit), measure_classes, judge_classes),
}
