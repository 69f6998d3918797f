"""Limits of detections: from what rounding does to the best candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....runtimes.kinds.detections import DetectionLimit, DetectionStats, measure
from .base import SEEN_ON_DEVICES, GateKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....models.results import Detections
    from ....runtimes.backends.base import Array
    from ....runtimes.parity.decoder import Decode

# Untrained networks and empty images: so many best candidates are compared instead of those over the threshold.
BEST = 100
_FLOOR_CANDIDATES = 1000
# Smallest limits: a hundredth of a pixel is nothing to a user.
_MIN_SCORE, _MIN_PX = 1e-5, 1e-2
_MAX_IOU_LOSS = 0.5  # boxes are paired from this IoU on
# IoU from which on a box and one of the mirror image are the same object.
_SAME_PLACE = 0.5


def limit_from_rounding(floor: DetectionStats, safety: float) -> DetectionLimit:
    """Derive the limits of detections from what the reference's rounding error does to them."""
    score = max((pair.score for pair in floor.pairs), default=0.0)
    px = max((pair.px for pair in floor.pairs), default=0.0)
    loss = max((1 - pair.iou for pair in floor.pairs), default=0.0)
    px_limit = max(safety * px, _MIN_PX)
    return DetectionLimit(
        score=max(safety * score, _MIN_SCORE),
        px=px_limit,
        # A box of no area counts its shift in pixels as lost IoU.
        iou=1 - min(max(safety * loss, px_limit), _MAX_IOU_LOSS),
        mean_score=max(safety * score, _MIN_SCORE),  # a mean over other candidates is another one
        derived=(
            f"{safety:g} x what the reference's rounding does (score {score:.2e}, {px:.2e} px, IoU -{loss:.2e}), "
            f"at least score {_MIN_SCORE:g}, {_MIN_PX:g} px"
        ),
    )


def _derive(decode: Decode, exact: Mapping[str, Array], rounded: Mapping[str, Array], safety: float) -> DetectionLimit:
    # All the best candidates, suppressed or not: the extremes of a few dozen boxes say little about other images.
    everything: dict[str, Any] = {"best": _FLOOR_CANDIDATES, "iou_threshold": 1.0, "max_detections": _FLOOR_CANDIDATES}
    return limit_from_rounding(measure(decode(exact, **everything), decode(rounded, **everything)), safety)


def _found_in_both(detections: Detections, mirrored: Detections, width: int) -> float:
    boxes = mirrored.boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    stats = measure(detections, replace(mirrored, boxes=boxes))
    paired = sum(float(detections.scores[pair.index]) for pair in stats.pairs if pair.iou > _SAME_PLACE)
    return 2 * paired - float(detections.scores.sum() + mirrored.scores.sum()) / 2


GATE = GateKind(
    derive=_derive,
    device=DetectionLimit(score=1e-2, px=1.0, iou=0.5, mean_score=1e-4, derived=SEEN_ON_DEVICES),
    candidates=BEST,
    found_in_both=_found_in_both,
)
