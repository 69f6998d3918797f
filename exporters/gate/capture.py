"""A device's legs in a file: written on the machine with the device, compared on any other.

A capture is an .npz of the images, the network inputs, PyTorch's outputs and the device's, with a JSON description and
one SHA-256 over all of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArtifactError
from ...models.registry import get_model
from ...models.weights.digest import sha256_file
from ...runtimes.load import find_exported_file, prepare_network
from ...runtimes.seal import read_seal, sealed_model
from ..bisect.taps import parse_places, take_taps
from ..publish import replace_files, verify_sums
from ..report.files import report_files
from ..report.record import comparison_entries, environment, leg_entry, read_record
from .capture_file import SCHEMA_VERSION, Capture, check_belongs
from .evidence import describe, evidence_arrays, rebuild_reference
from .legs import LEGS, Leg, LegRun, Subject
from .probes import all_cases
from .reference import decode_again, make_reference
from .rounding import rounding_from_dict
from .stored import check_array, told_as_damage
from .verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...models.spec import ModelSpec, Plan, VariantOptions
    from ...models.weights.checkpoint import Checkpoint
    from ..report.record import Record

# The legs of a capture: those of the device.
_BACKEND = "npu"


def make_capture(
    model: str | Path,
    *,
    device: str | None = None,
    weights: str | Path | None = None,
    options: VariantOptions | None = None,
    probes: Sequence[Path] = (),
    taps: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda _step: None,
) -> Capture:
    """Run a model's network in PyTorch on the CPU and on an NPU.

    Args:
        model: A model's name, or an exported file, whose own weights then have to be given.
        device: "npu" or "npu:N"; None is the first.
        weights: See `cvport.models.weights.files.open_weights`.
        options: For a model's name: settings that cannot be inferred from the checkpoint.
        probes: Folders of images to run, besides the built-in ones.
        taps: What to keep of the inside of the network, see `cvport.exporters.bisect.taps.parse_places`; None: nothing.
        offline: Never download.
        cache_dir: Where downloads are kept.
        progress: Called with the name of each step.

    Raises:
        UsageError: *taps* is no choice of places.
        WeightsError: The weights cannot be had, or are not those of the file.
        ArtifactError: The file is no exported one.
        BackendError: The device is not available.

    """
    places = None if taps is None else parse_places(taps)
    progress("loading weights")
    path = find_exported_file(model)
    seal = None if path is None else read_seal(path)
    spec = get_model(str(model)) if seal is None else sealed_model(seal, path)
    prepared = prepare_network(spec, weights, options, seal=seal, offline=offline, cache_dir=cache_dir)
    checkpoint, plan, network = prepared.checkpoint, prepared.plan, prepared.network
    progress("running PyTorch")
    cases = all_cases(probes, "dynamic", boxes=spec.takes_boxes)
    reference = make_reference(spec, plan, network, cases, untrained=checkpoint.untrained, tolerances=())
    progress("running the NPU")
    subject = Subject(reference, network, device=device)
    runs = [leg.run(leg, subject) for leg in _device_legs()]
    arrays = evidence_arrays(reference)
    for run in runs:
        for i, case in enumerate(run.cases):
            arrays |= {f"{i}/npu/{run.leg.precision}/{name}": value for name, value in case.outputs.items()}
    inside: dict[str, Any] = {}
    if places is not None:
        progress("running the NPU with taps")
        taken = take_taps(spec, plan, network, places, device)
        inside, arrays = {"taps": taken.meta}, arrays | taken.arrays
    meta = {
        "schema_version": SCHEMA_VERSION,
        "seal": _describe(spec, plan, checkpoint),
        "onnx_sha256": None if path is None else sha256_file(path),
        **describe(reference),
        "hf32_effect": [effect.to_dict() for effect in subject.hf32],
        "environment": environment(),
        "npu": {"device": runs[0].device, "settings": {run.leg.precision: dict(run.settings) for run in runs}},
        **inside,
    }
    return Capture(json.loads(json.dumps(meta)), arrays)


def _device_legs() -> list[Leg]:
    return [leg for leg in LEGS if leg.backend == _BACKEND]


def complete(onnx_path: Path, capture_path: Path, lang: str = "en") -> Record:
    """Compare the captured legs with an exported file, and add them to the record of the artifact.

    Args:
        onnx_path: The file in its published artifact.
        capture_path: The capture.
        lang: The language in which the report opens, "en" or "zh".

    Returns:
        The new record. It is published if its verdict is "passed": the record and the sums change, the file does not.

    Raises:
        ArtifactError: The file, its artifact or the capture is missing, damaged, altered or of another schema; the
            capture was made for another file.
        WeightsError: The capture was made with other weights.

    """
    if not onnx_path.exists():
        raise ArtifactError(f"no such file: {onnx_path}", "Check the path; cvexport MODEL writes one.")
    capture = Capture.read(capture_path)
    folder = onnx_path.absolute().parent
    verify_sums(folder)
    before = read_record(folder / "parity.json")
    seal = json.loads(read_seal(onnx_path).to_json())
    check_belongs(capture, seal, onnx_path)
    captured = {leg.name: replace(leg, run=_from_capture(capture)) for leg in _device_legs()}
    with told_as_damage(capture_path, "Make it again on the machine with the device: cvexport capture"):
        subject = _stored_subject(capture, onnx_path)
        rows = [captured.get(leg.name, leg) for leg in LEGS if leg.needed or leg.name in captured]
        verification = verify(seal, None, subject, [row.run(row, subject) for row in rows])
    legs = {run.leg.name: leg_entry(verification, run) for run in verification.legs if run.leg.name in captured}
    entries = [entry for entry in comparison_entries(verification) if entry.legs.partition("-")[2] in captured]
    kept = [entry for entry in before.comparisons if entry.legs.partition("-")[2] not in captured]
    failed = any(entry.verdict != "passed" and entry.counts for entry in (*kept, *entries))
    record = replace(
        before,
        legs={**before.legs, **legs},
        comparisons=(*kept, *entries),
        verdict="failed" if failed else "passed",
    )
    if record.verdict == "passed":
        replace_files(folder.parent, folder.name, report_files(record, verification, lang))
    return record


def _stored_subject(capture: Capture, onnx_path: Path) -> Subject:
    """Return what a capture was made of, to be compared with a file."""
    reference = rebuild_reference(capture.arrays, capture.meta, capture.meta["seal"])
    effect = [rounding_from_dict(entry, reference.spec.kind) for entry in capture.meta["hf32_effect"]]
    names = set(reference.spec.output_names)
    if len(effect) != len(reference.cases) or any(set(entry.tensors) != names for entry in effect):
        raise ValueError("the effect of HF32 is not that of these cases and outputs")
    return Subject(reference, file=onnx_path, stored_effect=effect)


def _from_capture(capture: Capture) -> Callable[[Leg, Subject], LegRun]:
    """Return a way to run a device's leg: its outputs as stored, its results decoded from them again."""

    def run(leg: Leg, subject: Subject) -> LegRun:
        npu, reference = capture.meta["npu"], subject.reference
        outputs = [
            {
                name: check_array(name, capture.arrays[f"{i}/npu/{leg.precision}/{name}"], np.float32, expected.shape)
                for name, expected in case.outputs.items()
            }
            for i, case in enumerate(reference.cases)
        ]
        return LegRun(
            leg,
            "ran",
            device=npu["device"],
            settings=npu["settings"][leg.precision],
            cases=decode_again(reference, outputs),
            captured=capture.digest,
            environment=capture.meta["environment"],
        )

    return run


def _describe(spec: ModelSpec, plan: Plan, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what an exported file of this plan would say, as far as a capture and a file must agree."""
    return {
        "model": spec.name,
        "form": spec.form,
        "variant": plan.variant.to_dict(),
        "input_size": plan.input_size,
        "labels": plan.labels,
        "preprocess": asdict(plan.preprocess),
        "postprocess": asdict(plan.postprocess),
        "weights": {"sha256": checkpoint.sha256, "origin": checkpoint.origin, "untrained": checkpoint.untrained},
    }
