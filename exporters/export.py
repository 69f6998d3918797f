"""Checkpoint -> network -> sealed ONNX file -> comparison -> published, or rejected with all that reproduces why."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CvportError, ParityFailed, UsageError
from ..models.forms import RAW
from ..models.registry import get_model, package_of
from ..models.weights.digest import sha256_file
from ..models.weights.files import LocalFile, parse_address
from ..runtimes.load import prepare_network
from ..runtimes.seal import MODEL_PACKAGE, SCHEMA_VERSION, Seal, content_digest, read_seal
from .bisect.pairs import pair_with_network
from .bisect.run import search_pair
from .gate.assumptions import check_convention
from .gate.legs import Subject, backend_names, choose_legs, run_legs
from .gate.probes import all_cases
from .gate.reference import make_reference
from .gate.structure import compare_structure, structure_of
from .gate.verify import verify
from .graphs.forms import add_tail
from .graphs.nodes import NODES, describe_nodes, module_paths
from .graphs.safe_forms import use_safe_forms
from .graphs.trace import OPSET, finish, simplify, tool_versions, trace
from .probe import make_probe
from .publish import publish, reject, stage
from .replay import save_evidence
from .report.files import report_files
from .report.record import Record, make_record
from .report.text import failure
from .sbom import SBOM, describe_materials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

    from ..models.spec import ModelSpec, Plan, VariantOptions
    from ..models.weights.checkpoint import Checkpoint
    from ..runtimes.load import Prepared
    from .gate.reference import Reference
    from .gate.structure import Structure
    from .gate.verify import Verification

# PyTorch's words in c10/core/impl/alloc_cpu.cpp.
_TORCH_NO_MEMORY = "can't allocate memory"


@dataclass(frozen=True)
class Artifact:
    """A published export.

    Attributes:
        folder: Its folder.
        onnx: The exported file.
        loaded: What was loaded, for people.
        record: The content of its parity.json.
        verification: What the record was made from: the reference, the legs and their results.

    """

    folder: Path
    onnx: Path
    loaded: str
    record: dict[str, Any]
    verification: Verification | None = field(default=None, repr=False)

    @property
    def parity(self) -> Path:
        """The parity.json."""
        return self.folder / "parity.json"

    @property
    def report(self) -> Path:
        """The same to look at."""
        return self.folder / "report.html"


def export(
    model: str,
    *,
    weights: str | Path | None = None,
    output: str | Path = "artifacts",
    options: VariantOptions | None = None,
    opset: int = OPSET,
    batch: str | int = "dynamic",
    form: str = RAW,
    backends: Sequence[str] | None = None,
    require: Sequence[str] = (),
    tolerances: Sequence[str] = (),
    probes: Sequence[Path] = (),
    offline: bool = False,
    cache_dir: Path | None = None,
    lang: str = "en",
    progress: Callable[[str], None] = lambda _step: None,
) -> Artifact:
    """Export a model and publish it if it computes what its network computes.

    Args:
        model: A model's name.
        weights: See `cvport.models.weights.files.open_weights`.
        output: The artifact is published as ``output/MODEL``, or ``output/MODEL-FORM``, rejected as
            ``output/rejected/MODEL-TIME``.
        options: Settings that cannot be inferred from the checkpoint.
        opset: ONNX opset version; 18.
        batch: "dynamic", or the one batch size of the file.
        form: What the file gives: "raw", the network's outputs, or a form of the model, see `models.spec.Form`.
        backends: Backends whose legs are compared, where they are available; None for all.
        require: Backends without whose legs nothing is published.
        tolerances: ``OUT:FIGURE=X`` overrides of the derived limits.
        probes: Folders of images to compare on, besides the built-in ones.
        offline: Never download.
        cache_dir: Where downloads are kept.
        lang: The language in which the report opens, "en" or "zh"; both are in it.
        progress: Called with the name of each step.

    Raises:
        UsageError: A wrong model, option or combination.
        WeightsError: The weights cannot be had or do not fit.
        ArtifactError: The output folder cannot be written.
        ParityFailed: The file differs from the network; what was published before stays.
        ParityIncomplete: A required leg cannot run.
        CvportError: There is not enough memory.

    """
    spec = get_model(model).in_form(form)
    name = spec.artifact_name
    _check_request(opset, batch)
    reasons = choose_legs(backend_names() if backends is None else backends, require)
    tools = tool_versions() | _model_package(spec)
    cases = all_cases(probes, batch, boxes=spec.takes_boxes)
    with stage(Path(output), name) as staging, _memory_told(name):
        progress("loading weights")
        prepared = prepare_network(spec, weights, options, offline=offline, cache_dir=cache_dir)
        checkpoint, plan, network = prepared.checkpoint, prepared.plan, prepared.network
        notes = check_convention(spec, prepared, options, cases)
        progress("computing the expected values of the probe")
        # Outputs that are chosen, not computed, have no neighbourhood in which a value could be expected.
        probe = make_probe(spec, plan, network) if spec.inner is spec else None
        seal = make_seal(spec, checkpoint, plan, batch, tools, probe=probe)
        onnx_path = staging / f"{name}.onnx"
        data, structure, nodes = make_onnx(spec, network, seal, progress)
        onnx_path.write_bytes(data)
        (staging / NODES).write_bytes(nodes.encode())
        del data  # as large as the weights, and no longer needed
        progress("running PyTorch")
        reference = make_reference(
            spec.inner, plan, network, cases, untrained=checkpoint.untrained, tolerances=tolerances
        )
        progress("comparing")
        subject = Subject(reference, network, onnx_path)
        verification = verify_file(onnx_path, subject, seal, reasons, require, structure=structure)
        record = make_record(verification, sha256_file(onnx_path), plan.decided_by, notes)
        if record.verdict != "passed":
            progress("looking for the operator")
            record = replace(record, divergence=_divergence(onnx_path, spec, seal, prepared))
        progress("writing the report")
        for file, content in report_files(record, verification, lang).items():
            (staging / file).write_bytes(content)
        if record.verdict != "passed":
            progress("keeping the evidence")
            _reject(staging, Path(output), name, reference, record)
        progress("publishing")
        (staging / SBOM).write_bytes(describe_materials(onnx_path, record, spec).encode())
        folder = publish(staging, Path(output), name)
    return Artifact(folder, folder / onnx_path.name, _loaded(network, checkpoint), record.to_dict(), verification)


@contextmanager
def _memory_told(name: str) -> Iterator[None]:
    """Say of an allocation that fails, in Python or in PyTorch, that it is the machine's memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and _TORCH_NO_MEMORY not in str(error):
            raise
        raise CvportError(
            f"there is not enough memory to export {name}", "End other programs, or give a smaller --input-size."
        ) from error


def _model_package(spec: ModelSpec) -> dict[str, str]:
    """Return the package of another's model, for the seal: who reads the file elsewhere has to know it."""
    package = package_of(spec.name)
    return {} if package is None else {MODEL_PACKAGE: package}


class MadeFile(NamedTuple):
    """A file and what it was made from.

    Attributes:
        data: Its bytes.
        structure: What it may consist of.
        nodes: The text of its nodes.json.

    """

    data: bytes
    structure: Structure
    nodes: str


def make_onnx(spec: ModelSpec, network: nn.Module, seal: Seal, progress: Callable[[str], None]) -> MadeFile:
    """Make the sealed file of a network."""
    progress("folding BatchNorm")
    form = spec.export_form(spec.fuse(network))
    progress("tracing the network")
    model = trace(form, spec.inner, seal.input_size, seal.batch)
    use_safe_forms(model)
    modules = module_paths(model)
    progress("simplifying and checking")
    simplified = simplify(model)
    for graph in (model, simplified):
        add_tail(graph, spec, spec.params_types[1](**seal.postprocess))
    structure = structure_of(form, model)
    return MadeFile(finish(simplified, seal), structure, describe_nodes(simplified.graph, modules))


def verify_file(
    onnx_path: Path,
    subject: Subject,
    seal: Seal,
    reasons: Mapping[str, str],
    require: Sequence[str] = (),
    *,
    structure: Structure | None = None,
) -> Verification:
    """Run every leg that can run on an exported file or its network, and compare them.

    Args:
        onnx_path: The exported file; its leg is built from what is sealed in it alone.
        subject: What the legs run.
        seal: What the file was meant to say about itself.
        reasons: Why legs will not run, from `choose_legs`.
        require: Backends whose legs have to run.
        structure: What the file may consist of; None where that is not known.

    """
    expected = {**json.loads(seal.to_json()), "digest": content_digest(onnx_path)}
    sealed = json.loads(read_seal(onnx_path).to_json())
    consists = [] if structure is None else compare_structure(onnx_path, structure)
    return verify(expected, sealed, subject, run_legs(subject, reasons, require), consists)


def _divergence(onnx_path: Path, spec: ModelSpec, seal: Seal, prepared: Prepared) -> dict[str, Any]:
    """Return where a file parts from its network; empty where that cannot be looked for, as in one that cannot run."""
    if spec.inner is not spec:
        return {}
    try:
        return search_pair(pair_with_network(onnx_path, spec, seal, prepared)).to_record()
    except CvportError:
        return {}


def _reject(staging: Path, output: Path, name: str, reference: Reference, record: Record) -> None:
    """Keep what failed with all that reproduces it, and raise the error that says so."""
    save_evidence(staging, f"{name}.onnx", reference)
    folder = reject(staging, output, name)
    raise ParityFailed(
        f"the exported file does not compute what the network computes: {failure(record)}",
        f"Everything to reproduce it: python {folder / 'replay.py'}",
    )


def _check_request(opset: int, batch: str | int) -> None:
    if opset != OPSET:
        raise UsageError(f"opset {opset} is not supported", f"Exported files are opset {OPSET}: --opset {OPSET}")
    if batch != "dynamic" and not (isinstance(batch, int) and batch > 0):
        raise UsageError(f"batch {batch!r} is neither dynamic nor a positive number", "For example --batch 1.")


def make_seal(
    spec: ModelSpec,
    checkpoint: Checkpoint,
    plan: Plan,
    batch: str | int,
    tools: dict[str, str],
    *,
    probe: dict[str, Any] | None = None,
) -> Seal:
    """Return what the exported file will say about itself; *probe* is from `make_probe`."""
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
        weights={
            "sha256": checkpoint.sha256,
            "origin": _sealed_origin(checkpoint.origin),
            "untrained": checkpoint.untrained,
            **({"assumed": list(plan.assumptions())} if plan.guesses else {}),
        },
        opset=OPSET,
        tools=tools,
        form=None if spec.form == RAW else spec.form,
        probe=probe,
    )


def _sealed_origin(origin: str) -> str:
    """Return where weights came from: a path of this machine would make the same weights give other bytes elsewhere."""
    address = parse_address(origin)
    return address.path.name if isinstance(address, LocalFile) else str(address)


def _loaded(network: nn.Module, checkpoint: Checkpoint) -> str:
    from ..models.weights.loading import LoadReport

    parameters = sum(parameter.numel() for parameter in network.parameters())
    return str(LoadReport(len(checkpoint.state), len(network.state_dict()), parameters))
