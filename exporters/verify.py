"""An artifact, checked as a whole: its sums, its record and its seal against the file that they are about."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArtifactError, CvportError
from ..models.lazy import import_onnx
from ..models.weights.digest import sha256_file
from ..runtimes.load import find_exported_file
from ..runtimes.probe import read_probe
from ..runtimes.seal import content_digest, read_seal, sealed_model, sealed_params
from .gate.capture_file import Capture
from .graphs.nodes import NODES, read_nodes
from .publish import SUMS_NAME, verify_sums
from .report.files import RECORD
from .report.record import read_record
from .report.text import failure
from .sbom import SBOM, materials_of, read_materials
from .signing import is_capture, signature_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import onnx

    from ..models.spec import ModelSpec
    from ..runtimes.seal import Seal

SCHEMA_VERSION = 1
_TYPES = {"float32": 1, "int64": 7}  # of onnx.TensorProto
_VERDICT = "verdict"


class Check(NamedTuple):
    """One thing that was looked at, and what does not fit."""

    name: str
    problems: tuple[str, ...]


class _Artifact(NamedTuple):
    """What the checks are about."""

    path: Path
    seal: Seal
    spec: ModelSpec


def verify_path(path: Path, public_key: Path | None = None) -> list[Check]:
    """Check an artifact or a capture, offline, and whether it is of who has the private key of a public one.

    Args:
        path: The folder of an artifact, the .onnx file in it, or a capture.
        public_key: An Ed25519 public key in PEM; None does not look at the signature.

    Returns:
        What was looked at: see `verify_artifact`; of a capture its content. Last the signature, where that is asked
        for.

    Raises:
        ArtifactError: There is neither.
        BackendError, InputError: The package for signatures is not installed; the key cannot be used.

    """
    checks = [Check("capture", _problems(partial(_check_capture, path)))] if is_capture(path) else verify_artifact(path)
    if public_key is None:
        return checks
    problem = signature_problem(path, public_key)
    return [*checks, Check("signature", () if problem is None else (problem,))]


def _check_capture(path: Path) -> Iterator[str]:
    Capture.read(path)
    yield from ()


def verify_artifact(path: Path) -> list[Check]:
    """Check an artifact, offline and with nothing but what lies in its folder.

    That all fits together is no proof of where it comes from: who can change a file can make new sums. A signature is;
    see `verify_path`.

    Args:
        path: The folder of an artifact, or the .onnx file in it.

    Returns:
        What was looked at, in this order: its sums, the seal, the graph that it is about, the record, nodes.json,
        the bill of materials, the verdict of the record.

    Raises:
        ArtifactError: There is no exported file.
        BackendError: onnx is not installed: graphs cannot be read.

    """
    file = find_exported_file(path)
    if file is None or not file.is_file():
        raise ArtifactError(f"{path} is no artifact", "Give its folder, or the .onnx file in it.")
    import_onnx()
    file = file.resolve()
    found = [Check("sums", _problems(partial(_check_sums, file)))]
    try:
        seal = read_seal(file)
        artifact = _Artifact(file, seal, sealed_model(seal, file))
    except CvportError as error:
        return [*found, Check("seal", (_told(error),))]
    checks: dict[str, Callable[[_Artifact], Iterator[str]]] = {
        "seal": _check_seal,
        "graph": _check_graph,
        "record": _check_record,
        "nodes": _check_nodes,
        "sbom": _check_materials,
        _VERDICT: _check_verdict,
    }
    return [*found, *(Check(name, _problems(partial(check, artifact))) for name, check in checks.items())]


def require_whole(path: Path) -> None:
    """Refuse an artifact of which anything does not fit, whatever its verdict is; see `verify_artifact`.

    Raises:
        ArtifactError: Something does not fit, and is named.

    """
    problems = [
        f"{check.name}: {problem}"
        for check in verify_artifact(path)
        for problem in check.problems
        if check.name != _VERDICT
    ]
    if problems:
        raise ArtifactError(
            f"{path} does not fit together: {'; '.join(problems)}",
            "Copy it again from where it was exported, or export it again: cvexport MODEL",
        )


def _problems(check: Callable[[], Iterator[str]]) -> tuple[str, ...]:
    """Return what a check finds, and what it stumbles over."""
    try:
        return tuple(check())
    except CvportError as error:
        return (_told(error),)


def _told(error: CvportError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _check_sums(file: Path) -> Iterator[str]:
    if not (file.parent / SUMS_NAME).is_file():
        yield f"there is no {SUMS_NAME}: this is a file alone"
        return
    verify_sums(file.parent)


def _check_seal(artifact: _Artifact) -> Iterator[str]:
    """Yield where the seal does not fit the bytes, or itself."""
    seal, path = artifact.seal, artifact.path
    if seal.digest is None:
        yield "it was sealed without a digest: whether the file was altered cannot be seen"
    elif content_digest(path) != seal.digest:  # not from the cache, which trusts the file's time of change
        yield "the file was altered after it was sealed: its digest does not fit"
    if path.stem != (name := artifact.spec.artifact_name):
        yield f"the file is called {path.stem}, it should be {name}"
    sealed_params(artifact.spec, seal, path)
    if seal.probe is not None:
        read_probe(seal, artifact.spec.output_names, path)


def _check_graph(artifact: _Artifact) -> Iterator[str]:
    """Yield where the graph is not what the seal says."""
    from .bisect.lean import read_lean

    model, _ = read_lean(artifact.path)
    seal, spec, graph = artifact.seal, artifact.spec, model.graph
    names = tuple(value.name for value in graph.input), tuple(value.name for value in graph.output)
    if names != spec.signature:
        yield f"inputs and outputs are {names}, those of {spec.name} are {tuple(spec.signature)}"
        return
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": seal.opset}:
        yield f"operators are {opsets}, sealed is opset {seal.opset}"
    shape = _shape(graph.input[0])
    wanted = [seal.batch if isinstance(seal.batch, int) else None, 3, *seal.input_size]
    if shape != wanted:
        yield f"the input is {shape}, sealed is {wanted}"
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type != _TYPES[spec.dtype_of(value.name)]:
            yield f"{value.name} is not {spec.dtype_of(value.name)}"


def _shape(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return the sides of a tensor, None for one that is open."""
    return [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]


def _check_record(artifact: _Artifact) -> Iterator[str]:
    """Yield where the record is about another file, or does not say what its comparisons say."""
    record = read_record(artifact.path.with_name(RECORD))
    if record.onnx_sha256 != sha256_file(artifact.path):
        yield f"{RECORD} is about another file"
    sealed: dict[str, Any] = json.loads(artifact.seal.to_json())
    differing = [name for name in {**sealed, **record.seal} if sealed.get(name) != record.seal.get(name)]
    if differing:
        yield f"{RECORD} has another seal than the file: {', '.join(sorted(differing))}"
    failed = [entry for entry in record.comparisons if entry.counts and entry.verdict != "passed"]
    if (record.verdict == "passed") != (not failed):
        yield f"{RECORD} says {record.verdict}, with {len(failed)} comparisons that did not pass"
    if not any(entry.tier == "tensors" for entry in record.comparisons):
        yield f"{RECORD} holds no comparison of outputs"


def _check_verdict(artifact: _Artifact) -> Iterator[str]:
    """Yield what a rejected artifact is rejected for."""
    record = read_record(artifact.path.with_name(RECORD))
    if record.verdict != "passed":
        yield f"{RECORD} says {record.verdict}: {failure(record)}"


def _check_nodes(artifact: _Artifact) -> Iterator[str]:
    """Yield where the list of operators is another file's; older artifacts have none."""
    from .bisect.lean import read_lean

    listed = read_nodes(artifact.path.with_name(NODES))
    if listed is None:
        return
    model, _ = read_lean(artifact.path)
    if listed != [(node.name, list(node.output)) for node in model.graph.node]:
        yield f"{NODES} lists other operators than the file has"


def _check_materials(artifact: _Artifact) -> Iterator[str]:
    """Yield where the bill of materials is another file's; older artifacts and rejected ones have none."""
    listed = read_materials(artifact.path.with_name(SBOM))
    if listed is None:
        return
    expected = materials_of(json.loads(artifact.seal.to_json()), sha256_file(artifact.path))
    if listed.onnx_sha256 != expected.onnx_sha256:
        yield f"{SBOM} is about another file"
    pairs = zip(expected._fields, listed, expected, strict=True)
    differing = [name for name, here, there in pairs if name != "onnx_sha256" and here != there]
    if differing:
        yield f"{SBOM} says something else than the file: {', '.join(differing)}"
