"""Checkpoint -> network -> sealed ONNX file -> comparison -> published, or rejected with all that reproduces why."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackendError, ParityFailed, ParityIncomplete, UsageError, did_you_mean
from ..models.registry import get_model
from ..models.spec import VariantOptions
from ..models.weights.digest import sha256_file
from ..models.weights.files import LocalFile, open_weights, parse_address
from ..runtimes.backends.registry import BACKENDS, why_not
from ..runtimes.predictor import load
from ..runtimes.seal import SCHEMA_VERSION, Seal
from .gate.npu_leg import compare_npu, hf32_effect, npu_status, run_npu
from .gate.parity import compare_file, make_reference
from .gate.probes import all_cases
from .graphs.trace import OPSET, finish, simplify, tool_versions, trace
from .publish import publish, reject, stage
from .replay import save_evidence
from .report.record import make_record, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from ..models.spec import ModelSpec, Plan
    from ..models.weights.checkpoint import Checkpoint
    from .gate.npu_leg import Effect, NpuRun
    from .gate.parity import Reference

# The legs of a comparison. The first is the reference; without the second there is nothing to publish.
LEGS = ("torch", "onnx", "npu")
_NEEDED = ("torch", "onnx")


@dataclass(frozen=True)
class Artifact:
    """A published export.

    Attributes:
        folder: Where it is.
        onnx: The exported file.
        loaded: What was loaded, for people.
        record: The content of its parity.json.

    """

    folder: Path
    onnx: Path
    loaded: str
    record: dict[str, Any]

    @property
    def parity(self) -> Path:
        """The parity.json."""
        return self.folder / "parity.json"


def export(
    model: str,
    *,
    weights: str | Path | None = None,
    output: str | Path = "artifacts",
    options: VariantOptions | None = None,
    opset: int = OPSET,
    batch: str | int = "dynamic",
    backends: Sequence[str] = LEGS,
    require: Sequence[str] = (),
    tolerances: Sequence[str] = (),
    probes: Sequence[Path] = (),
    offline: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda _step: None,
) -> Artifact:
    """Export a model and publish it if it computes what its network computes.

    Args:
        model: A model's name.
        weights: See `cvport.models.weights.files.parse_address`.
        output: The artifact is published as ``output/MODEL``, rejected as ``output/rejected/MODEL-TIME``.
        options: What the weights do not tell.
        opset: Of the file; 18.
        batch: "dynamic", or the one batch size of the file.
        backends: Legs to compare, where they are available.
        require: Legs without which nothing is published.
        tolerances: ``OUT:FIGURE=X`` overrides of the derived limits.
        probes: Folders of pictures to compare on, besides the built-in ones.
        offline: Never download.
        cache_dir: Where downloads are kept.
        progress: Called with the name of each step.

    Raises:
        UsageError: A wrong model, option or combination.
        WeightsError: The weights cannot be had or do not fit.
        ArtifactError: The output folder cannot be written.
        ParityFailed: The file differs from the network; what was published before stays.
        ParityIncomplete: A required leg cannot run.

    """
    spec = get_model(model)
    _check_request(opset, batch)
    legs = _choose_legs(backends, require)
    tools = tool_versions()
    cases = all_cases(probes, batch, faces=spec.takes_boxes)
    with stage(Path(output), spec.name) as staging:
        progress("loading weights")
        checkpoint = open_weights(spec, weights, offline=offline, cache_dir=cache_dir)
        plan = spec.plan(checkpoint, options)
        network = spec.build_network(checkpoint.state, plan.variant)
        seal = make_seal(spec, checkpoint, plan, batch, tools)
        onnx_path = staging / f"{spec.name}.onnx"
        onnx_path.write_bytes(make_onnx(spec, network, seal, progress))
        progress("running PyTorch")
        reference = make_reference(spec, plan, network, cases, untrained=checkpoint.untrained, tolerances=tolerances)
        progress("comparing with ONNX Runtime")
        npu = _run_npu(legs, reference, network, progress)
        record = verify(onnx_path, reference, seal, legs, plan.decided_by, npu=npu)
        write_record(record, staging / "parity.json")
        if record["verdict"] != "passed":
            progress("keeping the evidence")
            save_evidence(staging, onnx_path.name, reference)
            folder = reject(staging, Path(output), spec.name)
            raise ParityFailed(_failure(record), f"Everything to reproduce it: python {folder / 'replay.py'}")
        progress("publishing")
        folder = publish(staging, Path(output), spec.name)
    return Artifact(folder, folder / onnx_path.name, _loaded(network, checkpoint), record)


def make_onnx(spec: ModelSpec, network: nn.Module, seal: Seal, progress: Callable[[str], None]) -> bytes:
    """Return the bytes of the sealed file of a network."""
    progress("folding BatchNorm")
    fused = spec.fuse(network)
    progress("tracing the network")
    model = trace(spec.export_form(fused), spec, seal.input_size, seal.batch)
    progress("simplifying and checking")
    return finish(simplify(model), seal)


def verify(
    onnx_path: Path,
    reference: Reference,
    seal: Seal,
    legs: Mapping[str, Mapping[str, str]],
    decided_by: Mapping[str, str],
    *,
    npu: tuple[NpuRun, Effect] | None = None,
) -> dict[str, Any]:
    """Compare an exported file with its reference and return the content of its parity.json.

    The ONNX leg is built from what is sealed in the file alone. Where the NPU's leg ran, it is compared with both.
    """
    expected = json.loads(seal.to_json())
    with load(onnx_path, backend="onnx") as candidate:
        comparisons, onnx = compare_file(expected, reference, candidate)
    content = None
    if npu is not None:
        of_npu, content = compare_npu(reference, onnx, *npu)
        comparisons += of_npu
    return make_record(
        seal=expected,
        onnx_sha256=sha256_file(onnx_path),
        legs=legs,
        decided_by=decided_by,
        reference=reference,
        comparisons=comparisons,
        npu=content,
    )


def _run_npu(
    legs: dict[str, dict[str, Any]], reference: Reference, network: nn.Module, progress: Callable[[str], None]
) -> tuple[NpuRun, Effect] | None:
    """Run the NPU's leg where it is to run, and note on what."""
    if legs["npu"]["status"] != "ran":
        return None
    progress("running the NPU")
    run = run_npu(reference, network)
    legs["npu"] |= npu_status(run)
    return run, hf32_effect(reference, network)


def _check_request(opset: int, batch: str | int) -> None:
    if opset != OPSET:
        raise UsageError(f"opset {opset} is not supported", f"Exported files are opset {OPSET}: --opset {OPSET}")
    if batch != "dynamic" and not (isinstance(batch, int) and batch > 0):
        raise UsageError(f"batch {batch!r} is neither dynamic nor a positive number", "For example --batch 1.")


def _choose_legs(backends: Sequence[str], require: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return each leg's status; looked at before any work is done."""
    for name in (*backends, *require):
        if name not in LEGS:
            raise UsageError(f"there is no leg {name!r}", did_you_mean(name, LEGS))
    legs = {}
    for name in LEGS:
        if name not in backends and name not in require:
            reason: str | None = "not asked for"
        elif name not in BACKENDS:
            reason = "this version has no such backend"
        else:
            reason = why_not(name)
        legs[name] = {"status": "ran", "device": "cpu"} if reason is None else {"status": "not run", "reason": reason}
        if reason is not None and name in require:
            cause = reason.splitlines()[0]
            raise ParityIncomplete(
                f"the {name} leg cannot run: {cause}; nothing was published",
                "Leave it out of --require, or make it available.",
            )
        if name in _NEEDED and name not in (*backends, *require):
            raise UsageError(
                f"nothing is published without the {name} leg", "Name it in --backends, or leave that out."
            )
        if reason is not None and name in _NEEDED:
            raise BackendError(
                f"an export needs {name}: {reason.splitlines()[0]}", "Install it: pip install 'cvport[export]'"
            )
    return legs


def make_seal(spec: ModelSpec, checkpoint: Checkpoint, plan: Plan, batch: str | int, tools: dict[str, str]) -> Seal:
    """Return what the exported file will say about itself."""
    # A path of this machine would make the same weights give other bytes elsewhere.
    address = parse_address(checkpoint.origin)
    origin = address.path.name if isinstance(address, LocalFile) else str(address)
    return Seal(
        schema_version=SCHEMA_VERSION,
        model=spec.name,
        title=plan.variant.title,
        variant=plan.variant.to_dict(),
        input_size=plan.input_size,
        batch=batch,
        labels=plan.labels,
        preprocess=asdict(plan.preprocess),
        postprocess=asdict(plan.postprocess),
        weights={"sha256": checkpoint.sha256, "origin": origin, "untrained": checkpoint.untrained},
        opset=OPSET,
        tools=tools,
    )


def _loaded(network: nn.Module, checkpoint: Checkpoint) -> str:
    from ..models.weights.loading import LoadReport

    parameters = sum(parameter.numel() for parameter in network.parameters())
    return str(LoadReport(len(checkpoint.state), len(network.state_dict()), parameters))


def _failure(record: dict[str, Any]) -> str:
    failed = [entry for entry in record["comparisons"] if entry["verdict"] != "passed"]
    where = " ".join(part for part in (failed[0][key] for key in ("tier", "case", "what")) if part)
    reasons = "; ".join(failed[0]["reasons"][:2])
    return (
        f"the exported file does not compute what the network computes: {len(failed)} of "
        f"{len(record['comparisons'])} comparisons, first {where}: {failed[0]['verdict']}, {reasons}"
    )
