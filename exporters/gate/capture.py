"""An NPU's leg in a file: written on the machine with the device, compared on any other.

A capture is an .npz of the pictures, the network inputs, PyTorch's outputs and the NPU's, with a JSON description and
one SHA-256 over all of it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArtifactError, WeightsError
from ...models.registry import get_model
from ...models.spec import VariantOptions
from ...models.weights.digest import sha256_file
from ...models.weights.files import open_weights
from ...runtimes.backends.onnx import OnnxBackend
from ...runtimes.predictor import load, read_seal
from ...runtimes.seal import read_params
from ..publish import replace_files, verify_sums
from ..replay import evidence_arrays, rebuild_reference
from ..report.record import cases_to_dict, environment, floor_from_dict, limits_to_dict, read_record, record_text
from .kinds import KINDS, Decoder
from .npu_leg import PRECISIONS, Effect, NpuRun, compare_npu, hf32_effect, npu_status, run_npu
from .parity import LegCase, make_reference, row, run_leg
from .probes import all_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...models.spec import ModelSpec, Plan
    from ...models.weights.checkpoint import Checkpoint
    from ...runtimes.seal import Seal
    from .parity import Reference

SCHEMA_VERSION = 1
_META, _DIGEST = "meta", "sha256"
# What a capture and a file must agree on to be about the same network and the same way to and from it.
_SHARED = ("model", "variant", "input_size", "labels", "preprocess", "postprocess")


@dataclass(frozen=True)
class Capture:
    """The content of a capture file.

    Attributes:
        meta: The description: ``seal`` (what `_SHARED` names, and the weights), ``cases``, ``noise_floor``, ``limits``,
            ``hf32_effect``, ``environment``, ``npu`` and, if it was made for a file, ``onnx_sha256``.
        arrays: By name.

    """

    meta: dict[str, Any]
    arrays: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 over the description and every array."""
        digest = hashlib.sha256(json.dumps(self.meta, sort_keys=True).encode())
        for name in sorted(self.arrays):
            value = np.ascontiguousarray(self.arrays[name])
            digest.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        meta = np.frombuffer(json.dumps(self.meta).encode(), dtype=np.uint8)
        digest = np.frombuffer(bytes.fromhex(self.digest), dtype=np.uint8)
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **{_META: meta, _DIGEST: digest}, **self.arrays)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ArtifactError(f"cannot write {path}: {error.strerror}", "Choose another place with -o.") from error

    @classmethod
    def read(cls, path: Path) -> Capture:
        """Read a file.

        Raises:
            ArtifactError: It is missing, damaged, altered or of another schema.

        """
        again = "Make it again on the machine with the device: cvexport capture"
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            digest = arrays.pop(_DIGEST).tobytes().hex()
            capture = cls(json.loads(arrays.pop(_META).tobytes()), arrays)
            version = capture.meta["schema_version"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtifactError(f"{path} is no capture, or a damaged one: {error}", again) from error
        if digest != capture.digest:
            raise ArtifactError(f"{path} was altered: its content does not have the SHA-256 it was sealed with", again)
        if version != SCHEMA_VERSION:
            raise ArtifactError(f"{path} has schema {version!r}, this version reads {SCHEMA_VERSION}", again)
        return capture


def make_capture(
    model: str | Path,
    *,
    device: str | None = None,
    weights: str | Path | None = None,
    options: VariantOptions | None = None,
    probes: Sequence[Path] = (),
    offline: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda _step: None,
) -> Capture:
    """Run a model's network in PyTorch on the CPU and on an NPU.

    Args:
        model: A model's name, or an exported file, whose own weights then have to be given.
        device: "npu" or "npu:N"; None is the first.
        weights: See `cvport.models.weights.files.parse_address`.
        options: For a model's name: what the weights do not tell.
        probes: Folders of pictures to run, besides the built-in ones.
        offline: Never download.
        cache_dir: Where downloads are kept.
        progress: Called with the name of each step.

    Raises:
        WeightsError: The weights cannot be had, or are not those of the file.
        ArtifactError: The file is no exported one.
        BackendError: The device is not available.

    """
    progress("loading weights")
    spec, seal, path = _open_model(model)
    checkpoint = open_weights(spec, weights, offline=offline, cache_dir=cache_dir)
    plan = spec.plan(checkpoint, options) if seal is None else _sealed_plan(spec, checkpoint, seal)
    network = spec.build_network(checkpoint.state, plan.variant)
    progress("running PyTorch")
    cases = all_cases(probes, "dynamic", faces=spec.takes_boxes)
    reference = make_reference(spec, plan, network, cases, untrained=checkpoint.untrained, tolerances=())
    progress("running the NPU")
    run = run_npu(reference, network, device)
    arrays = evidence_arrays(reference)
    for precision, leg in run.legs.items():
        for i, case in enumerate(leg):
            arrays |= {f"{i}/npu/{precision}/{name}": value for name, value in case.outputs.items()}
    meta = {
        "schema_version": SCHEMA_VERSION,
        "seal": _describe(spec, plan, checkpoint),
        "onnx_sha256": None if path is None else sha256_file(path),
        "cases": cases_to_dict(reference),
        "noise_floor": {name: asdict(stats) for name, stats in reference.floor.items()},
        "limits": limits_to_dict(reference.limits),
        "hf32_effect": hf32_effect(reference, network).to_dict(),
        "environment": environment(),
        "npu": {"device": run.device, "settings": run.settings},
    }
    return Capture(json.loads(json.dumps(meta)), arrays)


def complete(onnx_path: Path, capture_path: Path) -> dict[str, Any]:
    """Compare the captured leg with an exported file, and add it to the record of the artifact.

    Args:
        onnx_path: The file in its published artifact.
        capture_path: The capture.

    Returns:
        The content of the new parity.json. It is published if its verdict is "passed": the record and the sums
        change, the file does not.

    Raises:
        ArtifactError: The file, its artifact or the capture is missing, damaged, altered or of another schema; the
            capture was made for another file.
        WeightsError: The capture was made with other weights.

    """
    capture = Capture.read(capture_path)
    folder = onnx_path.absolute().parent
    verify_sums(folder)
    before = read_record(folder / "parity.json")
    with load(onnx_path, backend="onnx") as candidate:
        seal = json.loads(candidate.seal.to_json()) if candidate.seal else {}
        _check_belongs(capture, seal, onnx_path)
        reference = rebuild_reference(capture.arrays, capture.meta)
        onnx = run_leg(reference, candidate)
    run = _captured_run(capture, reference)
    comparisons, content = compare_npu(reference, onnx, run, _captured_effect(capture, reference))
    record = _merge(before, [entry.to_dict() for entry in comparisons], content)
    record["legs"]["npu"] = {"status": "ran", **npu_status(run), "captured": capture.digest}
    record["npu"]["captured_on"] = capture.meta["environment"]
    if record["verdict"] == "passed":
        replace_files(folder.parent, folder.name, {"parity.json": record_text(record).encode()})
    return record


def _open_model(model: str | Path) -> tuple[ModelSpec, Seal | None, Path | None]:
    """Return the spec of a name, or of an exported file with its seal."""
    if not str(model).lower().endswith(".onnx"):
        return get_model(str(model)), None, None
    path = Path(model)
    with OnnxBackend(path) as reader:
        spec, seal = read_seal(reader.metadata, path)
    return spec, seal, path


def _sealed_plan(spec: ModelSpec, checkpoint: Checkpoint, seal: Seal) -> Plan:
    """Return the plan that an exported file was made by."""
    if checkpoint.sha256 != seal.weights.get("sha256"):
        raise WeightsError(
            f"{checkpoint.origin} are not the weights that the file was made from",
            f"Sealed sha256 {seal.weights.get('sha256')}, these have {checkpoint.sha256}.",
        )
    size = None if spec.stride is None else (seal.input_size[0], seal.input_size[1])
    plan = spec.plan(checkpoint, VariantOptions(input_size=size, activation=seal.variant.get("activation")))
    preprocess, postprocess = spec.params_types
    return plan._replace(
        preprocess=read_params(preprocess, seal.preprocess, "the sealed preprocessing"),
        postprocess=read_params(postprocess, seal.postprocess, "the sealed postprocessing"),
        labels=tuple(seal.labels),
    )


def _describe(spec: ModelSpec, plan: Plan, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what an exported file of this plan would say, as far as a capture and a file must agree."""
    return {
        "model": spec.name,
        "variant": plan.variant.to_dict(),
        "input_size": plan.input_size,
        "labels": plan.labels,
        "preprocess": asdict(plan.preprocess),
        "postprocess": asdict(plan.postprocess),
        "weights": {"sha256": checkpoint.sha256, "origin": checkpoint.origin, "untrained": checkpoint.untrained},
    }


def _check_belongs(capture: Capture, seal: Mapping[str, Any], onnx_path: Path) -> None:
    """Refuse a capture that is about something else than the file."""
    described = capture.meta["seal"]
    captured, sealed = (part["weights"]["sha256"] for part in (described, seal))
    if captured != sealed:
        raise WeightsError(
            f"the capture was made with other weights than {onnx_path}",
            f"Sealed sha256 {sealed}, captured {captured}.",
        )
    differing = [name for name in _SHARED if described[name] != seal[name]]
    if differing:
        raise ArtifactError(
            f"the capture was made for another network than {onnx_path}: {', '.join(differing)} differ",
            "Capture the file itself: cvexport capture FILE.onnx --weights W",
        )
    if capture.meta["onnx_sha256"] not in (None, sha256_file(onnx_path)):
        raise ArtifactError(f"the capture was made for another file than {onnx_path}", "Capture this one.")


def _captured_run(capture: Capture, reference: Reference) -> NpuRun:
    """Return the NPU's leg as it was: its outputs as stored, its results decoded from them again."""
    decoder: Decoder = reference.decoder
    legs: dict[str, list[LegCase]] = {precision: [] for precision in PRECISIONS}
    for precision in PRECISIONS:
        for i, case in enumerate(reference.cases):
            outputs = {name: capture.arrays[f"{i}/npu/{precision}/{name}"] for name in decoder.spec.output_names}
            results = [
                decoder(row(outputs, j), frame, best=best)
                for j, (frame, best) in enumerate(zip(case.frames, case.best, strict=True))
            ]
            legs[precision].append(LegCase(outputs, results))
    npu = capture.meta["npu"]
    return NpuRun(npu["device"], npu["settings"], legs)


def _captured_effect(capture: Capture, reference: Reference) -> Effect:
    content = capture.meta["hf32_effect"]
    decoded = KINDS[reference.spec.kind].limit_type(**content["decoded"])
    return Effect(floor_from_dict(content["tensors"]), decoded)


def _merge(before: Mapping[str, Any], comparisons: list[dict[str, Any]], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with the NPU's comparisons instead of those it may have had."""
    kept = [entry for entry in before["comparisons"] if not entry["legs"].endswith("npu")]
    everything = [*kept, *comparisons]
    failed = any(entry["verdict"] != "passed" for entry in everything)
    return {
        **before,
        "legs": dict(before["legs"]),
        "verdict": "failed" if failed else "passed",
        "comparisons": everything,
        "npu": dict(content),
    }
