"""What comparing decoded results takes for each kind of result: one row of a table a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...runtimes.parity.measure import match_detections, measure_classes, measure_landmarks, summarise_matching
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
    from ...models.results import Result
    from ...models.spec import ModelSpec
    from ...runtimes.backends.registry import Array

# Untrained networks and empty pictures: so many best candidates are compared instead of those over the threshold.
BEST = 100
_FLOOR_CANDIDATES = 1000
# Overlaps nearer than this to the suppression threshold may fall on either side of it, whatever the limits.
_IOU_SLACK = 2e-3
# Of the best candidates, so many may change places with those that come after.
_FEW, _MANY = 2, 10


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
        derive: (decode, a row of exact outputs, the same row rounded, safety) -> limits, from what rounding does.
        measure: (reference, candidate) -> figures by name.
        judge: (reference, candidate, limits, variants) -> judgement; *variants* gives results of the reference with
            each threshold moved by its tolerance.
        vary: (decode, a row of the reference's outputs, its best, parameters, limits) -> those variants.
        best: Candidates that untrained networks and empty pictures are compared on; None where there are none.

    """

    limit_type: type[DecodedLimit]
    derive: Callable[[Decode, Mapping[str, Array], Mapping[str, Array], float], DecodedLimit]
    measure: Callable[[Any, Any], Mapping[str, Any]]
    judge: Callable[[Any, Any, Any, Callable[[], Sequence[Any]]], Judgement]
    vary: Callable[..., Sequence[Result]] = lambda *_: ()
    best: int | None = None


def _derive_detections(
    decode: Decode, exact: Mapping[str, Array], rounded: Mapping[str, Array], safety: float
) -> DetectionLimit:
    # All the best candidates, suppressed or not: the extremes of a few dozen boxes say little about other pictures.
    everything = {"best": _FLOOR_CANDIDATES, "iou_threshold": 1.0, "max_detections": _FLOOR_CANDIDATES}
    return detection_limit(match_detections(decode(exact, **everything), decode(rounded, **everything)), safety)


def _vary_detections(
    decode: Decode,
    outputs: Mapping[str, Array],
    best: int | None,
    params: Any,  # noqa: ANN401
    limit: DetectionLimit,
) -> list[Result]:
    variants = []
    slack = max(_IOU_SLACK, (1 - limit.iou) / 10)
    # Which candidates are the best hundred is a threshold too: as many as are about as good as the last may change.
    scores = decode(outputs, best=best).scores
    near = int((scores <= scores.min(initial=1.0) + 2 * limit.score).sum())
    for sign in (-1, 1):
        count = None if best is None else best + sign * min(max(near, _FEW), _MANY)
        score = min(max(params.score_threshold + sign * 2 * limit.score, 0.0), 1.0)
        iou = min(max(params.iou_threshold + sign * slack, 0.0), 1.0)
        variants += [decode(outputs, best=count, score_threshold=score), decode(outputs, best=best, iou_threshold=iou)]
    return variants


def _derive(
    measure: Callable[[Any, Any], Mapping[str, Any]], derive: Callable[[Mapping[str, Any], float], DecodedLimit]
) -> Callable[[Decode, Mapping[str, Array], Mapping[str, Array], float], DecodedLimit]:
    """Return the `Kind.derive` of a kind whose figures tell its limits."""
    return lambda decode, exact, rounded, safety: derive(measure(decode(exact), decode(rounded)), safety)


# By `ModelSpec.kind`.
KINDS: Mapping[str, Kind] = {
    "detections": Kind(
        DetectionLimit, _derive_detections, summarise_matching, judge_detections, _vary_detections, BEST
    ),
    "landmarks": Kind(LandmarkLimit, _derive(measure_landmarks, landmark_limit), measure_landmarks, judge_landmarks),
    "classes": Kind(ClassLimit, _derive(measure_classes, class_limit), measure_classes, judge_classes),
}
