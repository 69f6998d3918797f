"""Judging measured differences: limits, where they come from, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ...errors import UsageError, did_you_mean
from ...runtimes.parity.measure import match_detections, measure_classes, measure_landmarks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...models.results import Classification, Detections, Landmarks
    from ...runtimes.parity.measure import Matching, TensorStats

Verdict = Literal["passed", "failed", "uninformative"]

# Two correct float32 computations of one network differ by a few times the rounding error of either; a planted fault
# of one percent in one tensor differs by hundreds of times. Ten keeps well clear of both.
SAFETY = 10.0
# An NPU adds in another order and approximates functions otherwise than a CPU: several times the usual noise is sound.
NPU_SAFETY = 4.0
# Below this nothing is told apart: float32 carries 24 bits, and a handful of final operations each round once.
_EPSILON = 16 * 2.0**-24
_MIN_SCORE, _MIN_PX = 1e-5, 1e-2  # a hundredth of a pixel is nothing to a user
_MIN_PROB = 1e-5
_MAX_IOU_LOSS = 0.5  # boxes are paired from this IoU on
# An output that varies less than this many limits could be wrong without being seen.
_INFORMATIVE = 20.0
# A floor over this part of an output's spread is no rounding error: the reference itself is unsound.
_PLAUSIBLE_FLOOR = 1e-2


@dataclass(frozen=True)
class TensorLimit:
    """What one output may differ by.

    Attributes:
        max_abs: For the largest absolute difference; *rtol* times the reference's largest magnitude is added.
        rtol: Relative part.
        derived: How the limit came about.

    """

    max_abs: float
    rtol: float = 0.0
    derived: str = ""


@dataclass(frozen=True)
class DetectionLimit:
    """What matched detections may differ by.

    Attributes:
        score: Absolute difference of scores.
        px: Largest difference of a coordinate, in pixels.
        iou: Smallest IoU.
        mean_score: Mean absolute difference of the scores of one picture.
        derived: How the limits came about.

    """

    score: float
    px: float
    iou: float
    mean_score: float
    derived: str = ""


@dataclass(frozen=True)
class LandmarkLimit:
    """What points may differ by.

    Attributes:
        px: Largest distance of a point to its counterpart, in pixels.
        mean_px: Mean distance in one picture.
        derived: How the limits came about.

    """

    px: float
    mean_px: float
    derived: str = ""


@dataclass(frozen=True)
class ClassLimit:
    """What the scores of classes may differ by.

    Attributes:
        prob: Largest absolute difference of a score.
        derived: How the limit came about.

    """

    prob: float
    derived: str = ""


DecodedLimit: TypeAlias = DetectionLimit | LandmarkLimit | ClassLimit


_SEEN = "the best of the public deployments of these models on Ascend devices, against their CPUs"
# Of the NPU's decoded results, whatever its rounding.
NPU_DECODED: Mapping[type[DecodedLimit], DecodedLimit] = {
    DetectionLimit: DetectionLimit(score=1e-2, px=1.0, iou=0.5, mean_score=1e-4, derived=_SEEN),
    LandmarkLimit: LandmarkLimit(px=0.5, mean_px=0.1, derived=_SEEN),
    ClassLimit: ClassLimit(prob=1e-2, derived=_SEEN),
}


@dataclass(frozen=True)
class Limits:
    """All limits of one comparison, by output name, and those of decoded results."""

    tensors: Mapping[str, TensorLimit]
    decoded: DecodedLimit


@dataclass(frozen=True)
class Judgement:
    """A verdict and the reasons for it; *borderline* tells what was within tolerance of a threshold."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    borderline: tuple[str, ...] = ()


def tensor_limit(floor: TensorStats) -> TensorLimit:
    """Derive the limit of an output from the rounding error of its reference (*floor*: float32 against float64)."""
    smallest = _EPSILON * (floor.max_abs / floor.max_rel if floor.max_rel else 1.0)
    derived = f"{SAFETY:g} x {floor.max_abs:.2e}, the reference's own rounding error (float32 against float64)"
    if SAFETY * floor.max_abs < smallest:
        derived = f"{smallest:.2e}, 16 roundings of the largest value"
    return TensorLimit(max(SAFETY * floor.max_abs, smallest), derived=derived)


def detection_limit(floor: Matching, safety: float = SAFETY) -> DetectionLimit:
    """Derive the limits of decoded results from what the reference's rounding error does to them."""
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


def landmark_limit(floor: Mapping[str, Any], safety: float = SAFETY) -> LandmarkLimit:
    """Derive the limits of points from what the reference's rounding error does to them."""
    derived = f"{safety:g} x what the reference's rounding does ({floor['max']:.2e} px), at least {_MIN_PX:g} px"
    limit = max(safety * floor["max"], _MIN_PX)
    return LandmarkLimit(limit, limit, derived)


def class_limit(floor: Mapping[str, Any], safety: float = SAFETY) -> ClassLimit:
    """Derive the limit of class scores from what the reference's rounding error does to them."""
    derived = f"{safety:g} x what the reference's rounding does ({floor['max_prob']:.2e}), at least {_MIN_PROB:g}"
    return ClassLimit(max(safety * floor["max_prob"], _MIN_PROB), derived)


def npu_limits(limits: Limits) -> Limits:
    """Derive the limits of an NPU that computes in float32 from those of the ONNX leg."""
    tensors = {
        name: TensorLimit(NPU_SAFETY * limit.max_abs, limit.rtol, f"{NPU_SAFETY:g} x ({limit.derived})")
        for name, limit in limits.tensors.items()
    }
    return Limits(tensors, NPU_DECODED[type(limits.decoded)])


def rounding_npu_limits(limits: Limits, effect: Mapping[str, TensorStats], decoded: DecodedLimit) -> Limits:
    """Derive the limits of an NPU that rounds what goes into convolutions.

    Args:
        limits: Of the ONNX leg.
        effect: What such rounding changes in the reference's outputs.
        decoded: Limits of decoded results, derived from the same.

    """
    tensors = {
        name: TensorLimit(
            max(NPU_SAFETY * stats.max_abs, limits.tensors[name].max_abs),
            derived=f"{NPU_SAFETY:g} x {stats.max_abs:.2e}, what HF32 convolutions change in the reference",
        )
        for name, stats in effect.items()
    }
    return Limits(tensors, widest([NPU_DECODED[type(limits.decoded)], decoded]))


def widest(limits: Sequence[DecodedLimit]) -> DecodedLimit:
    """Return limits that let pass what any of these does."""
    first, *others = limits
    if not others:
        return first
    names = [entry.name for entry in fields(first) if entry.name != "derived"]
    changes: dict[str, Any] = {
        name: (min if name == "iou" else max)(getattr(limit, name) for limit in limits) for name in names
    }
    texts = "; ".join(dict.fromkeys(limit.derived for limit in limits))
    return replace(first, **changes, derived=f"the widest of: {texts}")


def judge_tensor(stats: TensorStats, limit: TensorLimit) -> Judgement:
    """Judge one output of one case."""
    if not stats.finite:
        return Judgement("failed", ("values that are not finite",))
    largest = stats.max_abs / stats.max_rel if stats.max_rel else 0.0
    allowed = limit.max_abs + limit.rtol * largest
    if not stats.max_abs <= allowed:
        return Judgement("failed", (f"max abs {stats.max_abs:.3g} is over the limit {allowed:.3g}",))
    return Judgement("passed")


def judge_spread(name: str, spread: float, limit: TensorLimit, floor: TensorStats) -> Judgement:
    """Judge whether an output tells anything: *spread* is how much it varies between pictures."""
    if not math.isfinite(spread) or not floor.finite:
        return Judgement("failed", (f"{name} of the reference is not finite",))
    if spread <= _INFORMATIVE * _EPSILON or spread <= _INFORMATIVE * limit.max_abs:
        return Judgement(
            "uninformative", (f"{name} varies by {spread:.2e} between pictures, its limit is {limit.max_abs:.2e}",)
        )
    if floor.max_abs > _PLAUSIBLE_FLOOR * spread:
        return Judgement("failed", (f"the reference's rounding error {floor.max_abs:.2e} is too large to judge by",))
    return Judgement("passed")


def judge_detections(
    reference: Detections,
    candidate: Detections,
    limit: DetectionLimit,
    variants: Callable[[], Sequence[Detections]],
) -> Judgement:
    """Judge the decoded results of one picture.

    Args:
        reference: Of the PyTorch leg.
        candidate: Of the other leg.
        limit: What matched detections may differ by.
        variants: Gives the reference decoded again with thresholds moved by the tolerance, up and down. What one leg
            alone has is borderline, not a failure, where one of them has it (or lacks it) too.

    """
    matching = match_detections(reference, candidate)
    reasons: list[str] = []
    borderline: list[str] = []
    for pair in matching.pairs:
        place = f"detection {pair.reference} ({reference.labels[pair.reference]})"
        if not pair.same_label and pair.margin <= 2 * limit.score:
            borderline.append(f"{place}: labels tie, margin {pair.margin:.2e}")
        elif not pair.same_label:
            reasons.append(f"{place}: label {candidate.labels[pair.candidate]}, by a margin of {pair.margin:.3g}")
        if not pair.score <= limit.score:
            reasons.append(f"{place}: score differs by {pair.score:.3g}, limit {limit.score:.3g}")
        if not pair.px <= limit.px:
            reasons.append(f"{place}: box differs by {pair.px:.3g} px, limit {limit.px:.3g}")
        if not pair.iou >= limit.iou:
            reasons.append(f"{place}: IoU {pair.iou:.6f}, limit {limit.iou:.6f}")
    mean = sum(pair.score for pair in matching.pairs) / max(len(matching.pairs), 1)
    if not mean <= limit.mean_score:
        reasons.append(f"scores differ by {mean:.3g} in the mean, limit {limit.mean_score:.3g}")
    moved = variants() if matching.reference_only or matching.candidate_only else ()
    lost = {i for variant in moved for i in match_detections(reference, variant).reference_only}
    won = {pair.reference for variant in moved for pair in match_detections(candidate, variant).pairs}
    for index in matching.reference_only:
        text = f"{reference.labels[index]} {reference.scores[index]:.5f} only in the reference"
        (borderline if index in lost else reasons).append(text)
    for index in matching.candidate_only:
        text = f"{candidate.labels[index]} {candidate.scores[index]:.5f} only in the candidate"
        (borderline if index in won else reasons).append(text)
    return Judgement("failed" if reasons else "passed", tuple(reasons), tuple(borderline))


def judge_landmarks(
    reference: Landmarks, candidate: Landmarks, limit: LandmarkLimit, _variants: Callable[[], Sequence[Landmarks]]
) -> Judgement:
    """Judge the points of one picture."""
    if len(reference) != len(candidate):
        return Judgement("failed", (f"{len(candidate)} faces instead of {len(reference)}",))
    figures = measure_landmarks(reference, candidate)
    reasons = []
    if not figures["max"] <= limit.px:
        reasons.append(f"a point is {figures['max']:.3g} px off, limit {limit.px:.3g}")
    if not figures["mean"] <= limit.mean_px:
        reasons.append(f"points are {figures['mean']:.3g} px off in the mean, limit {limit.mean_px:.3g}")
    return Judgement("failed" if reasons else "passed", tuple(reasons))


def judge_classes(
    reference: Classification,
    candidate: Classification,
    limit: ClassLimit,
    _variants: Callable[[], Sequence[Classification]],
) -> Judgement:
    """Judge the class scores of one picture: the best class is the same, or the two tie within tolerance."""
    figures = measure_classes(reference, candidate)
    reasons, borderline = [], []
    if reference.labels != candidate.labels:
        reasons.append("the classes have other names")
    if not figures["max_prob"] <= limit.prob:
        reasons.append(f"a score differs by {figures['max_prob']:.3g}, limit {limit.prob:.3g}")
    flip = f"{candidate.label} instead of {reference.label}"
    if not figures["top1"] and figures["margin"] <= 2 * limit.prob:
        borderline.append(f"{flip}: they tie, margin {figures['margin']:.2e}")
    elif not figures["top1"]:
        reasons.append(f"{flip}, by a margin of {figures['margin']:.3g}")
    return Judgement("failed" if reasons else "passed", tuple(reasons), tuple(borderline))


def apply_tolerances(limits: Limits, tolerances: Sequence[str]) -> Limits:
    """Return the limits with some replaced by ``OUT:FIGURE=X``; OUT is an output, ``*``, or ``decoded``.

    Raises:
        UsageError: Not of that form, or an unknown output or figure.

    """
    for text in tolerances:
        name, figure, value = _parse_tolerance(text)
        if name == "decoded":
            known = {entry.name: entry.name for entry in fields(limits.decoded) if entry.name != "derived"}
            changes: dict[str, Any] = {_choose(figure, known, text): value}
            decoded = replace(limits.decoded, **changes, derived=f"{limits.decoded.derived}; set by --tolerance {text}")
            limits = replace(limits, decoded=decoded)
            continue
        names = list(limits.tensors) if name == "*" else [name]
        tensors = dict(limits.tensors)
        for output in names:
            if output not in tensors:
                raise UsageError(
                    f"--tolerance {text}: no output {output!r}", did_you_mean(output, [*tensors, "decoded"])
                )
            changes = {_choose(figure, {"atol": "max_abs", "rtol": "rtol"}, text): value}
            if figure == "rtol" and not tensors[output].derived.startswith("--tolerance"):
                changes["max_abs"] = 0.0
            tensors[output] = replace(tensors[output], **changes, derived=f"--tolerance {text}")
        limits = replace(limits, tensors=tensors)
    return limits


def _parse_tolerance(text: str) -> tuple[str, str, float]:
    name, colon, rest = text.partition(":")
    figure, equals, number = rest.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not (colon and equals and name) or not value >= 0 or not math.isfinite(value):
        raise UsageError(f"--tolerance {text} is not OUT:FIGURE=X", "For example cls_0:atol=1e-3 or decoded:px=0.5.")
    return name, figure, value


def _choose(figure: str, known: Mapping[str, str], text: str) -> str:
    if figure not in known:
        raise UsageError(f"--tolerance {text}: no figure {figure!r}", did_you_mean(figure, known))
    return known[figure]
