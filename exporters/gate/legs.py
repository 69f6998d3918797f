"""The legs of a comparison: ways to run one network, as a table. A new leg is a row.

A leg is compared, as the second of a pair, with each leg that its row names. Its status is set when it has run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import ArtifactError, BackendError, ParityIncomplete, UsageError, did_you_mean
from ...runtimes.backends.registry import BACKENDS, open_backend, unavailable_reason
from ...runtimes.load import load
from ...runtimes.parity.decoder import Decoder
from ...runtimes.predictor import Predictor
from .batches import BatchStats, measure_batches
from .inner import opened
from .kinds.registry import get_gate_kind
from .reference import CaseReference, LegCase, Reference, decode_rows
from .rounding import Rounding, hf32_effect, rounding_device_limits, row, strict_device_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from ...runtimes.backends.base import Array, Backend
    from ...runtimes.parity.limits import Limits


@dataclass(frozen=True)
class Subject:
    """What a comparison is about, and what its legs run.

    Attributes:
        reference: The reference.
        network: As loaded; None where no leg builds on it.
        file: The exported file; None where no leg runs it.
        device: Device of the legs that have a choice; None is the backend's default.
        stored_effect: What HF32 convolutions change, where it was measured elsewhere.

    """

    reference: Reference
    network: nn.Module | None = None
    file: Path | None = None
    device: str | None = None
    stored_effect: Sequence[Rounding] | None = None

    @cached_property
    def hf32(self) -> Sequence[Rounding]:
        """What HF32 convolutions change in the reference, for each case; measured when first asked for."""
        if self.stored_effect is not None:
            return self.stored_effect
        if self.network is None:
            raise ValueError("the effect of HF32 is measured on a network, and there is none")
        return hf32_effect(self.reference, self.network)


@dataclass(frozen=True)
class Leg:
    """One way to run a network.

    Attributes:
        name: Its name, unique.
        backend: The row of `BACKENDS` that runs it; also what ``--backends`` and ``--require`` call it.
        run: (leg, subject) -> what it made of the cases.
        against: Names of the legs that it is compared with.
        limits: (subject) -> what it may differ by, for each case.
        precision: Precision of the backend; None is its default.
        counts: Whether its comparisons decide the verdict; if not, they are for the record.
        needed: Whether nothing is published without it.

    """

    name: str
    backend: str
    run: Callable[[Leg, Subject], LegRun]
    against: tuple[str, ...] = ()
    limits: Callable[[Subject], Sequence[Limits]] = lambda subject: [case.limits for case in subject.reference.cases]
    precision: str | None = None
    counts: bool = True
    needed: bool = False


@dataclass(frozen=True)
class LegRun:
    """A leg and what became of it.

    Attributes:
        leg: Its row.
        status: "ran", "failed" where what it runs cannot be run, or "not run".
        reason: Why it did not run, or failed.
        device: What it ran on.
        settings: What its numbers depend on, as the backend tells it.
        cases: What it made of each case.
        batches: How rows of batches differ from the same rows alone; empty where that was not tried.
        captured: SHA-256 of the capture that it was taken from; empty where it ran here.
        environment: Of the machine where it was captured.

    """

    leg: Leg
    status: Literal["ran", "failed", "not run"]
    reason: str = ""
    device: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    cases: Sequence[LegCase] = ()
    batches: Sequence[BatchStats] = ()
    captured: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def ran(self) -> bool:
        """Whether there is something to compare."""
        return self.status == "ran"


def run_reference(leg: Leg, subject: Subject) -> LegRun:
    """Return what the reference, which has run already, made of the cases."""
    return LegRun(leg, "ran", device="cpu", cases=subject.reference.leg_cases)


def run_file(leg: Leg, subject: Subject) -> LegRun:
    """Run the exported file, which knows nothing but what is sealed in it."""
    if subject.file is None:
        raise ValueError(f"the leg {leg.name} runs an exported file, and there is none")
    try:
        with load(
            subject.file, backend=leg.backend, device=subject.device, precision=leg.precision, check_integrity=False
        ) as predictor:
            if predictor.spec.inner is predictor.spec:
                return run_predictor(leg, predictor, subject.reference)
            return _run_around(leg, predictor, subject)
    except ArtifactError as error:
        return LegRun(leg, "failed", error.message)


def _run_around(leg: Leg, predictor: Predictor, subject: Subject) -> LegRun:
    """Run a file whose graph goes on after what the network gives.

    What the network gives is taken from inside; results are those of the file as it is, and where the best candidates
    are compared whatever their score, those of a copy without a threshold: the best of them come first.
    """
    assert subject.file is not None
    reference, sealed = subject.reference, predictor.postprocess_params
    inner = predictor.spec.inner
    with opened(subject.file, inner.output_names, sealed.score_threshold) as copy:
        within = Predictor(inner, copy, predictor.preprocess_params, sealed, predictor.labels)
        run = run_predictor(leg, within, reference)
        if not run.ran:
            return run
        decoder = Decoder(predictor.spec, sealed, predictor.labels)
        cases = []
        for case, made in zip(reference.cases, run.cases, strict=True):
            if not case.regions:
                cases.append(made)
                continue
            inputs, transforms = predictor.prepare(case.regions)
            feed = {reference.spec.input_name: inputs}
            chosen, all_candidates = predictor.backend.run(feed), copy.run(feed)
            results = []
            for i, (transform, best, expected) in enumerate(zip(transforms, case.best, case.results, strict=True)):
                outputs = row(chosen if best is None else all_candidates, i)
                results.append(decoder(outputs, transform, best=None if best is None else len(expected)))
            cases.append(LegCase(made.outputs, results))
    return replace(run, cases=cases)


def run_predictor(leg: Leg, predictor: Predictor, reference: Reference) -> LegRun:
    """Run a file that is open: all cases, and batches of several sizes.

    It is the file that is judged: one that cannot be run is a verdict, not an accident.
    """
    try:
        run = _ran(leg, predictor, reference)
        return replace(run, batches=measure_batches(predictor.backend, reference, run.cases))
    except ArtifactError as error:
        return LegRun(leg, "failed", error.message)


def run_network(leg: Leg, subject: Subject) -> LegRun:
    """Run the fused network with the reference's own preprocessing and decoding."""
    if subject.network is None:
        raise ValueError(f"the leg {leg.name} runs a network, and there is none")
    reference = subject.reference
    spec, decoder = reference.spec, reference.decoder
    backend = open_backend(
        leg.backend,
        spec.fuse(subject.network),
        device=subject.device,
        precision=leg.precision,
        signature=spec.signature,
    )
    with Predictor(spec, backend, reference.preprocess, decoder.params, decoder.labels) as predictor:
        return _ran(leg, predictor, reference)


def _ran(leg: Leg, predictor: Predictor, reference: Reference) -> LegRun:
    """Run all cases: the network alone on the reference's inputs, then everything from the images on."""
    decoder = Decoder(predictor.spec, predictor.postprocess_params, predictor.labels)
    backend = predictor.backend
    made = []
    for case in reference.cases:
        outputs = _run(backend, reference, case, case.inputs)
        if not case.regions:
            made.append(LegCase(outputs, []))
            continue
        inputs, transforms = predictor.prepare(case.regions)
        own = outputs
        if not np.array_equal(inputs[: len(case.inputs)], case.inputs):
            own = _run(backend, reference, case, inputs)
        made.append(LegCase(outputs, decode_rows(decoder, own, transforms, case.best)))
    return LegRun(leg, "ran", device=backend.device, settings=dict(backend.settings), cases=made)


def _run(backend: Backend, reference: Reference, case: CaseReference, inputs: Array) -> dict[str, Array]:
    """Run a network on a case.

    Raises:
        ArtifactError: It cannot be run, or its outputs have other shapes than the reference's.

    """
    outputs = backend.run({reference.spec.input_name: inputs})
    for name, expected in case.outputs.items():
        if name not in outputs:
            raise ArtifactError(f"there is no output {name}", "Export it again.")
        if outputs[name].shape[1:] != expected.shape[1:] or len(outputs[name]) != len(inputs):
            raise ArtifactError(f"{name} has the shape {outputs[name].shape}, not {expected.shape}", "Export it again.")
    return outputs


def _strict(subject: Subject) -> list[Limits]:
    reference = subject.reference
    device = get_gate_kind(reference.spec.kind).device
    return [strict_device_limits(case.limits, device) for case in reference.cases]


def _production(subject: Subject) -> list[Limits]:
    reference = subject.reference
    device = get_gate_kind(reference.spec.kind).device
    pairs = zip(reference.cases, subject.hf32, strict=True)
    return [rounding_device_limits(case.limits, device, effect) for case, effect in pairs]


# The first is the reference. An NPU computes in float32 where it is told to ("strict", which counts), and as it does
# when nothing is said ("production").
LEGS = (
    Leg("torch", "torch", run_reference, needed=True),
    Leg("onnx", "onnx", run_file, against=("torch",), needed=True),
    Leg("npu", "npu", run_network, against=("torch", "onnx"), limits=_strict, precision="strict"),
    Leg(
        "npu-production",
        "npu",
        run_network,
        against=("torch", "onnx"),
        limits=_production,
        precision="production",
        counts=False,
    ),
)


def backend_names() -> tuple[str, ...]:
    """Return what ``--backends`` and ``--require`` take."""
    return tuple(dict.fromkeys(leg.backend for leg in LEGS))


def choose_legs(backends: Sequence[str], require: Sequence[str]) -> dict[str, str]:
    """Return why each leg will not run, by its name, empty for one that will; looked at before any work is done.

    Args:
        backends: Backends whose legs are to run where they are available.
        require: Backends whose legs have to run.

    Raises:
        UsageError: There is no such leg, or a needed one is left out.
        BackendError: A needed leg cannot run here.
        ParityIncomplete: A required leg cannot run here.

    """
    asked = {*backends, *require}
    for name in (*backends, *require):
        if name not in backend_names():
            raise UsageError(f"there is no leg {name!r}", did_you_mean(name, backend_names()))
    reasons = {}
    known: dict[str, str] = {}
    for leg in LEGS:
        if leg.backend not in known:
            known[leg.backend] = _unavailable(leg.backend) if leg.backend in asked else "not asked for"
        reason = reasons[leg.name] = known[leg.backend]
        if reason and leg.backend in require:
            raise _incomplete(leg, reason)
        if leg.needed and leg.backend not in asked:
            raise UsageError(
                f"nothing is published without the {leg.name} leg", "Name it in --backends, or leave that out."
            )
        if reason and leg.needed:
            raise BackendError(
                f"an export needs {leg.name}: {reason.splitlines()[0]}", "Install it: pip install 'cvport[export]'"
            )
    return reasons


def _unavailable(backend: str) -> str:
    if backend not in BACKENDS:
        return "this version has no such backend"
    return unavailable_reason(backend) or ""


def _incomplete(leg: Leg, reason: str) -> ParityIncomplete:
    return ParityIncomplete(
        f"the {leg.name} leg cannot run: {reason.splitlines()[0]}; nothing was published",
        "Leave it out of --require, or make it available.",
    )


def run_legs(
    subject: Subject,
    reasons: Mapping[str, str],
    require: Sequence[str] = (),
    instead: Mapping[str, Callable[[Leg, Subject], LegRun]] | None = None,
) -> list[LegRun]:
    """Run every leg that can run.

    Args:
        subject: What to run.
        reasons: From `choose_legs`.
        require: Backends whose legs have to run.
        instead: Ways to run legs other than those of their rows, by name.

    Raises:
        ParityIncomplete: A required leg failed on its device.
        BackendError: A needed leg failed.

    """
    runs = []
    for leg in LEGS:
        if reasons[leg.name]:
            runs.append(LegRun(leg, "not run", reasons[leg.name]))
            continue
        try:
            runs.append((instead or {}).get(leg.name, leg.run)(leg, subject))
        except BackendError as error:
            if leg.needed:
                raise
            if leg.backend in require:
                raise _incomplete(leg, error.message) from error
            runs.append(LegRun(leg, "not run", f"it failed: {error.message}\n{error.hint}"))
    return runs
