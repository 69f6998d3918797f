"""Captures and records: their descriptions, changed by their structure, beside arrays that stay as they are."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from cvport.errors import ArtifactError
from cvport.exporters.gate.capture import _from_capture, _stored_subject
from cvport.exporters.gate.capture_file import Capture, _check_meta, check_belongs
from cvport.exporters.gate.evidence import describe, evidence_arrays
from cvport.exporters.gate.legs import LEGS
from cvport.exporters.gate.reference import CaseReference, Reference, decode_rows
from cvport.exporters.gate.rounding import Rounding
from cvport.exporters.gate.stored import read_arrays, told_as_damage
from cvport.exporters.report.markdown import render_markdown
from cvport.exporters.report.record import Entry, LegEntry, Record, comparison_of, read_record
from cvport.exporters.report.text import failure
from cvport.models.registry import get_model
from cvport.runtimes.job import Region
from cvport.runtimes.kinds.registry import get_kind
from cvport.runtimes.parity.decoder import Decoder
from cvport.runtimes.parity.defaults import default_limits
from cvport.runtimes.parity.tensors import error_histogram, measure_tensor
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_bytes, mutate_json
from fuzz.seals import StubBackend, seal_of
from fuzz.texts import TextFile

_MODELS = ("emotion", "yolox", "landmarks68")
_AGAIN = "Make it again."
_DEVICE_LEGS = tuple(leg for leg in LEGS if leg.backend == "npu")
_NUDGE = np.float32(1e-4)


@cache
def reference_of(name: str) -> Reference:
    """What a network that was never run makes of one image, and of nothing but numbers."""
    spec, seal = get_model(name), seal_of(name)
    preprocess, postprocess = (
        kind(**values) for kind, values in zip(spec.params_types, (seal.preprocess, seal.postprocess), strict=True)
    )
    decoder = Decoder(spec, postprocess, seal.labels)
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    row, transform = spec.preprocess(image, preprocess)
    outputs = StubBackend(name).run({spec.input_name: row[None]})
    limits = default_limits(get_kind(spec.kind), spec.output_names, ["fp32"])
    best = 5 if spec.kind == "detections" else None
    results = decode_rows(decoder, outputs, [transform], [best])
    floor = {output: measure_tensor(values, values + _NUDGE) for output, values in outputs.items()}
    cases = [
        CaseReference("scene", [Region(image)], row[None], [transform], outputs, results, [best], limits),
        CaseReference("driven", [], row[None], [], outputs, [], [], limits),
    ]
    return Reference(decoder, preprocess, cases, floor, limits, None)


@cache
def capture_of(name: str) -> Capture:
    """A capture of such a reference, as one made on a machine with a device."""
    reference = reference_of(name)
    sealed = json.loads(seal_of(name).to_json())
    arrays = evidence_arrays(reference)
    for index, case in enumerate(reference.cases):
        for leg in _DEVICE_LEGS:
            arrays |= {f"{index}/npu/{leg.precision}/{key}": value for key, value in case.outputs.items()}
    effect = Rounding(reference.floor, dict.fromkeys(reference.floor, 7), None, textured=True)
    meta = {
        "schema_version": 2,
        "seal": sealed,
        "onnx_sha256": None,
        **describe(reference),
        "hf32_effect": [effect.to_dict() for _ in reference.cases],
        "environment": {"torch": "2.13.0"},
        "npu": {"device": "npu:0", "settings": {str(leg.precision): {"soc": "some"} for leg in _DEVICE_LEGS}},
    }
    return Capture(json.loads(json.dumps(meta)), arrays)


def run_capture(data: bytes) -> None:
    """Read the description of a capture, and run its legs."""
    with told_as_damage("some.npz", _AGAIN):
        meta = json.loads(data)
        name = meta["seal"]["model"]
        arrays = capture_of(name if name in _MODELS else "emotion").arrays
        capture = Capture(meta, arrays)
        _check_meta(capture)
    check_belongs(capture, capture.meta["seal"], Path("some.onnx"), same_file=False)
    with told_as_damage("some.npz", _AGAIN):
        subject = _stored_subject(capture, Path("some.onnx"))
        runs = [_from_capture(capture)(leg, subject) for leg in _DEVICE_LEGS]
    for leg_run in runs:
        json.dumps([dict(leg_run.settings), leg_run.device, dict(leg_run.environment)])


def run_arrays(data: bytes) -> None:
    """Read a file of arrays."""
    with told_as_damage("some.npz", _AGAIN):
        arrays = read_arrays(io.BytesIO(data))
    for name, value in arrays.items():
        if value.nbytes > 100 * len(data) + 1_000_000:
            raise SilentChangeError(f"{name} has {value.nbytes} bytes, the file {len(data)}")


@cache
def record_of(name: str) -> Record:
    """The record of such a comparison, with an entry of each tier."""
    reference, seal = reference_of(name), seal_of(name)
    described = describe(reference)
    for case in described["cases"]:
        del case["limits"]
    legs = {
        "torch": LegEntry("ran", device="cpu"),
        "onnx": LegEntry("ran", device="cpu", against=("torch",), verdict="passed", limits=described["limits"]),
        "npu": LegEntry("not run", reason="no device"),
    }
    facts = {"decided_by": {"preprocess": "default"}, "environment": {"torch": "2.13.0"}, "notes": ("a note",)}
    head = (name, seal.title, True, "0f" * 32, "failed", "2026-01-01T00:00:00+00:00", legs)
    sealed = json.loads(seal.to_json())
    return Record(*head, seal=sealed, comparisons=tuple(_entries(reference)), **facts, **described)


def _entries(reference: Reference) -> Iterator[Entry]:
    kind, result = get_kind(reference.spec.kind), reference.cases[0].results[0]
    stats = kind.measure(result, result)
    limits = {key: value for key, value in asdict(reference.limits.decoded).items() if key != "derived"}
    histogram = error_histogram(np.zeros(3), np.full(3, _NUDGE))
    for output, floor in reference.floor.items():
        figures = asdict(floor)
        yield Entry(
            "torch-onnx", "tensors", "scene", output, figures, "passed", limits={"max_abs": 1e-3}, histogram=histogram
        )
    rows = tuple(kind.items(stats))
    yield Entry("torch-onnx", "decoded", "scene", "image 0", stats.figures(), "passed", limits=limits, rows=rows)
    yield Entry("", "seal", "", "labels", {}, "passed")
    yield Entry("onnx", "spread", "scene", output, {"spread": 2.0}, "failed", ("too small",), ("at 0.5",))
    yield Entry("torch-onnx", "run", "", "onnx", {}, "passed", counts=False)


def run_record(data: bytes) -> None:
    """Read a record, and show it."""
    record = read_record(TextFile("parity.json").holding(data))
    render_markdown(record)
    if any(entry.counts and entry.verdict != "passed" for entry in record.comparisons):
        failure(record)
    for entry in record.comparisons:
        comparison_of(entry)
    given = json.loads(data)
    # As texts: True, 1 and 1.0 are equal.
    texts = [json.dumps(_without_empty(content), sort_keys=True) for content in (record.to_dict(), given)]
    if given["schema_version"] == 2 and texts[0] != texts[1]:
        raise SilentChangeError("it does not survive its own JSON")


def _without_empty(content: object) -> object:
    """Leave out what a record does not write where it is empty."""

    def kept(part: dict) -> dict:
        return {key: value for key, value in part.items() if value or type(value) in (int, float)}

    return json.loads(json.dumps(content), object_hook=kept)


def capture_seeds() -> list[bytes]:
    """The description of a capture of each kind."""
    return [json.dumps(capture_of(name).meta).encode() for name in _MODELS]


def record_seeds() -> list[bytes]:
    """A record of each kind."""
    return [record_of(name).to_json().encode() for name in _MODELS]


@cache
def array_seeds() -> list[bytes]:
    """Small files of arrays, packed and plain."""
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "0/b": np.zeros(0, np.int64),
        "c": np.ones((2, 2), "?"),
    }
    found = []
    for save in (np.savez, np.savez_compressed):
        content = io.BytesIO()
        save(content, **arrays)
        found.append(content.getvalue())
    return found


CAPTURE = Target(capture_seeds, run_capture, mutate_json, (ArtifactError.exit_code,))
ARRAYS = Target(array_seeds, run_arrays, mutate_bytes, (ArtifactError.exit_code,))
RECORD = Target(record_seeds, run_record, mutate_json, (ArtifactError.exit_code,))
