"""Two predictors on the same images: stage by stage, then their results."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import InputError, UsageError
from ..job import Region
from ..kinds.registry import get_kind
from ..sources.base import Item, Items
from ..sources.registry import as_source
from .decoder import Decoder
from .defaults import default_limits, recorded_limits
from .judging import judge_tensor
from .limits import SMALLEST_RELATIVE, Limits, apply_tolerances
from .tensors import measure_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ...models.results import Result
    from ..backends.base import Array
    from ..kinds.base import Kind, ResultStats
    from ..predictor import Predictor
    from ..sources.base import Source

SCHEMA_VERSION = 1
STAGES = ("preprocess", "network", "postprocess")
# The leg of an artifact's record that a backend's precision is.
_LEGS = {"production": "npu-production", "strict": "npu"}


@dataclass(frozen=True)
class Pair:
    """How two results of one image compare.

    Attributes:
        source: Name of the image.
        verdict: "passed" or "failed".
        stage: The first stage that differs: "preprocess", "network" or "postprocess"; None where none does, or where
            there are results alone.
        figures: Measured figures by name.
        rows: A row for each compared item.
        reasons: Why it did not pass.
        borderline: What was within tolerance of a threshold.
        results: The reference's and the candidate's; empty where one has none.
        stats: What was measured of them; None where one has none.

    """

    source: str
    verdict: str
    stage: str | None
    figures: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...] = ()
    reasons: tuple[str, ...] = ()
    borderline: tuple[str, ...] = ()
    results: tuple[Result, ...] = field(default=(), repr=False)
    stats: ResultStats | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        names = ("source", "figures", "verdict", "rows", "stage", "reasons", "borderline")
        plain: dict[str, Any] = _plain({name: getattr(self, name) for name in names})
        return plain


@dataclass(frozen=True)
class Comparison:
    """How two legs compare on some images.

    Attributes:
        pairs: Image by image.
        limits: What they may differ by.
        errors: Images that cannot be used, and why.

    """

    pairs: tuple[Pair, ...]
    limits: Limits
    errors: tuple[tuple[str, InputError], ...] = ()

    @property
    def verdict(self) -> str:
        """Either "passed" or "failed"; that of no images is "passed"."""
        return "failed" if any(pair.verdict == "failed" for pair in self.pairs) else "passed"

    @property
    def stage(self) -> str | None:
        """The first stage that differs on any image; None where none does, or where there are results alone."""
        found = {pair.stage for pair in self.pairs}
        return next((stage for stage in STAGES if stage in found), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": self.verdict,
            "stage": self.stage,
            "limits": self.limits.decoded.derived,
            "pairs": [pair.to_dict() for pair in self.pairs],
            "errors": [
                {"source": source, "code": error.exit_code, "message": error.message} for source, error in self.errors
            ],
        }


def compare(
    reference: Predictor,
    candidate: Predictor,
    images: Source | str | Path | Iterable[str | Path | NDArray[np.uint8]],
    *,
    tolerances: Sequence[str] = (),
) -> Comparison:
    """Compare two predictors on images: preprocessing, network, postprocessing, results.

    Args:
        reference: Taken for right.
        candidate: The other, of the same model.
        images: A file, folder, pattern, several of them, or (h, w, 3) uint8 BGR pixels.
        tolerances: ``OUT:FIGURE=X`` in the place of a limit; see `cvport.runtimes.parity.limits.apply_tolerances`.

    Returns:
        The comparison. Limits are those that the artifact of the candidate, else of the reference, records for such a
        leg, else defaults.

    Raises:
        UsageError: The two are of different models, or a tolerance is not of that form.

    """
    limits = limits_of(reference, candidate, tolerances)
    pairs, errors = [], []
    for item in _items(images):
        loaded = item.loaded()
        if loaded.image is None:
            errors.append((loaded.name, loaded.error or InputError(f"{loaded.name} gives no image")))
        else:
            pairs.append(compare_image(reference, candidate, loaded.name, loaded.image, limits))
    return Comparison(tuple(pairs), limits, tuple(errors))


def _items(images: Any) -> Iterator[Item]:  # noqa: ANN401
    if isinstance(images, np.ndarray):
        images = [images]
    if not isinstance(images, str | Path) and not hasattr(images, "total"):
        words = list(images)
        if any(isinstance(word, np.ndarray) for word in words):
            made = [
                Item(f"image {i}", image=word) if isinstance(word, np.ndarray) else next(iter(as_source(word)))
                for i, word in enumerate(words)
            ]
            return iter(Items(made))
        images = words
    return iter(as_source(images))


def limits_of(reference: Predictor, candidate: Predictor, tolerances: Sequence[str] = ()) -> Limits:
    """Return what two predictors may differ by; see `compare`."""
    spec, kind = candidate.spec, get_kind(candidate.spec.kind)
    if reference.spec.name != spec.name:
        raise UsageError(
            f"{reference.spec.name} and {spec.name} are two models", "Compare a model with itself, run another way."
        )
    recorded = (
        recorded_limits(one.file, kind, spec.output_names, _LEGS.get(candidate.backend.precision, "onnx"))
        for one in (candidate, reference)
        if one.file is not None
    )
    found = next((limits for limits in recorded if limits is not None), None)
    if found is None:
        precisions = [candidate.backend.precision, reference.backend.precision]
        found = default_limits(kind, spec.output_names, precisions)
    return apply_tolerances(found, tolerances)


class _Run(NamedTuple):
    """One image in one predictor: the network's input, a row each, and the place of it in the image."""

    inputs: Array
    transform: Any
    outputs: dict[str, Array]


def compare_image(
    reference: Predictor, candidate: Predictor, source: str, image: NDArray[np.uint8], limits: Limits
) -> Pair:
    """Compare two predictors on one image.

    Args:
        reference: Taken for right.
        candidate: The other.
        source: Name of the image.
        image: (h, w, 3) uint8 BGR.
        limits: What they may differ by.

    """
    first, second = _run(reference, image), _run(candidate, image)
    reasons: dict[str, list[str]] = {stage: [] for stage in STAGES}
    figures: dict[str, Any] = {}
    shared = second
    if first.inputs.shape != second.inputs.shape:
        reasons["preprocess"].append(f"inputs of {first.inputs.shape[1:]} and {second.inputs.shape[1:]}")
    elif not np.array_equal(first.inputs, second.inputs):
        stats = measure_tensor(first.inputs, second.inputs)
        figures["preprocess"] = {"max_abs": stats.max_abs, "mean_abs": stats.mean_abs}
        if not stats.max_abs <= SMALLEST_RELATIVE * float(abs(first.inputs).max()):
            reasons["preprocess"].append(f"inputs differ by {stats.max_abs:.3g}")
        shared = second._replace(outputs=_network(candidate, first.inputs))
    if first.inputs.shape == second.inputs.shape:
        figures["network"] = _compare_outputs(first.outputs, shared.outputs, limits, reasons["network"])
    if not _finite(first.outputs) or not _finite(second.outputs):
        return _pair(source, reasons, figures)
    decoders = _decoder(reference), _decoder(candidate)
    expected, result = decoders[0](first.outputs, first.transform), decoders[1](second.outputs, second.transform)
    kind = get_kind(reference.spec.kind)
    decode = partial(decoders[0], transform=first.transform)
    if first.inputs.shape == second.inputs.shape and _same_shapes(first.outputs, second.outputs):
        other = decoders[1](first.outputs, first.transform)
        judgement = kind.judge(kind.measure(expected, other), limits.decoded)
        reasons["postprocess"] += judgement.reasons
    variants = partial(kind.vary, decode, first.outputs, None, reference.postprocess_params, limits.decoded)
    return _pair(source, reasons, figures, compare_results(kind, source, (expected, result), limits, variants))


def compare_results(kind: Kind, source: str, results: tuple[Any, Any], limits: Limits, *variants: Any) -> Pair:  # noqa: ANN401
    """Compare two results of one image.

    Args:
        kind: Of the results.
        source: Name of the image.
        results: The reference's and the candidate's.
        limits: What they may differ by.
        variants: A function that gives the reference's with thresholds moved by their tolerance, where that is known.

    """
    stats = kind.measure(*results, *variants)
    judgement = kind.judge(stats, limits.decoded)
    return Pair(
        source,
        judgement.verdict,
        None,
        stats.figures(),
        tuple(kind.items(stats)),
        judgement.reasons,
        judgement.borderline,
        results,
        stats,
    )


def _run(predictor: Predictor, image: NDArray[np.uint8]) -> _Run:
    inputs, transforms = predictor.prepare([Region(image)])
    rows = inputs[:1].copy()
    return _Run(rows, transforms[0], _network(predictor, inputs))


def _network(predictor: Predictor, inputs: Array) -> dict[str, Array]:
    """Return the first row of what a network makes of inputs; a file of a fixed batch gets copies of the first."""
    batch = None if predictor.seal is None else predictor.seal.batch
    rows = inputs if not isinstance(batch, int) or len(inputs) == batch else np.repeat(inputs[:1], batch, axis=0)
    outputs = predictor.backend.run({predictor.spec.input_name: rows})
    return {name: value[:1] for name, value in outputs.items()}


def _decoder(predictor: Predictor) -> Decoder:
    return Decoder(predictor.spec, predictor.postprocess_params, predictor.labels, predictor.classes)


def _compare_outputs(
    first: Mapping[str, Array], second: Mapping[str, Array], limits: Limits, reasons: list[str]
) -> dict[str, dict[str, float]]:
    """Return the figures of each output, and add what is over its limit to the reasons."""
    figures = {}
    for name, value in first.items():
        if name not in second or second[name].shape != value.shape:
            shape = second[name].shape[1:] if name in second else "nothing"
            reasons.append(f"{name} has the shapes {value.shape[1:]} and {shape}")
            continue
        stats = measure_tensor(value, second[name])
        judgement = judge_tensor(stats, limits.tensors[name])
        reasons += [f"{name}: {reason}" for reason in judgement.reasons]
        figures[name] = {
            "max_abs": stats.max_abs,
            "mean_abs": stats.mean_abs,
            "cosine": stats.cosine,
            "limit": limits.tensors[name].allowed(stats.largest),
        }
    return figures


def _finite(outputs: Mapping[str, Array]) -> bool:
    return all(np.isfinite(value).all() for value in outputs.values())


def _same_shapes(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    return {name: value.shape for name, value in first.items()} == {name: value.shape for name, value in second.items()}


def _pair(
    source: str, reasons: Mapping[str, list[str]], figures: Mapping[str, Any], results: Pair | None = None
) -> Pair:
    """Return the pair of an image from what its stages and its results say."""
    told = [f"{stage}: {reason}" for stage in STAGES for reason in reasons[stage]]
    stage = next((stage for stage in STAGES if reasons[stage]), None)
    if results is None:
        told = told or ["network: values that are not finite"]
        return Pair(source, "failed", stage or "network", figures, reasons=tuple(told))
    if results.reasons and stage is None:
        # Each stage is within its limit, what they add up to is not: what the network gives differs at all.
        stage = "network"
    told += [f"result: {reason}" for reason in results.reasons]
    return Pair(
        source,
        "failed" if told else "passed",
        stage,
        {**results.figures, **figures},
        results.rows,
        tuple(told),
        results.borderline,
        results.results,
        results.stats,
    )


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return what JSON has: numbers that are not finite as text, tuples as lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value
