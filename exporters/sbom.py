"""The bill of materials beside an artifact: what the file is, and what it was made from and with.

CycloneDX 1.6 as JSON (https://cyclonedx.org/docs/1.6/json/). The subject is the .onnx. Its components are the model
with its weights, and the packages that made it, which the file does not contain (scope "excluded").
The same file, tools and time give the same bytes: the serial number is derived from the digest of the file.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ..errors import ArtifactError
from ..runtimes.seal import MODEL_PACKAGE
from .bisect.lean import read_lean
from .licences import declared_licence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx

    from ..models.spec import ModelSpec
    from .report.record import Record

SBOM = "sbom.cdx.json"

_SPEC_VERSION = "1.6"
# Serial numbers are UUIDs of version 5 of "cvport:SHA256" in this name space, that of URLs (RFC 9562).
_NAME_SPACE = uuid.NAMESPACE_URL
_FILE, _MODEL, _WEIGHTS, _TOOL = "file", "model", "weights", "tool:"


class Materials(NamedTuple):
    """What a bill says that can be compared with a file.

    Attributes:
        serial: The serial number.
        onnx_sha256: Digest of the file.
        model: Name of the model.
        weights_sha256: Digest of the weights.
        tools: Version of each package that made the file.

    """

    serial: str
    onnx_sha256: str
    model: str
    weights_sha256: str
    tools: Mapping[str, str]


def materials_of(seal: Mapping[str, Any], onnx_sha256: str) -> Materials:
    """Return what the bill of a file has to say.

    Args:
        seal: The JSON form of its seal.
        onnx_sha256: Digest of the file.

    """
    serial = uuid.uuid5(_NAME_SPACE, f"cvport:{onnx_sha256}").urn
    return Materials(serial, onnx_sha256, seal["model"], seal["weights"]["sha256"], dict(_packages(seal["tools"])))


def describe_materials(onnx_path: Path, record: Record, spec: ModelSpec) -> str:
    """Return the text of the bill of materials of an exported file.

    Args:
        onnx_path: The file.
        record: What was compared: the bill has the seal, the digest and the time from it.
        spec: The model.

    """
    materials = materials_of(record.seal, record.onnx_sha256)
    own = _package("cvport", materials.tools["cvport"])
    content = {
        "$schema": f"http://cyclonedx.org/schema/bom-{_SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC_VERSION,
        "serialNumber": materials.serial,
        "version": 1,
        "metadata": {
            "timestamp": record.created,
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [own]},
            "component": {
                "type": "file",
                "bom-ref": _FILE,
                "name": onnx_path.name,
                "hashes": _sha256(record.onnx_sha256),
            },
        },
        "components": [
            _model(onnx_path, record, spec),
            *(
                {**_package(name, version), "bom-ref": f"{_TOOL}{name}", "scope": "excluded"}
                for name, version in materials.tools.items()
            ),
        ],
        "dependencies": [
            {"ref": _FILE, "dependsOn": [_MODEL]},
            {"ref": _MODEL, "dependsOn": [_WEIGHTS]},
            {"ref": _WEIGHTS},
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_materials(path: Path) -> Materials | None:
    """Return what a bill of materials says; None where there is none.

    Raises:
        ArtifactError: It cannot be read.

    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _check_kind(content["bomFormat"], content["specVersion"])
        refs = {component["bom-ref"]: component for component in content["components"]}
        model, subject = refs[_MODEL], content["metadata"]["component"]
        tools = {entry["name"]: entry["version"] for ref, entry in refs.items() if ref.startswith(_TOOL)}
        digest = subject["hashes"][0]["content"]
        return Materials(content["serialNumber"], digest, model["name"], model["version"], tools)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", "Export the model again.") from error


def _check_kind(bom_format: object, version: object) -> None:
    if (bom_format, version) != ("CycloneDX", _SPEC_VERSION):
        raise ValueError(f"it is {bom_format} {version}, not CycloneDX {_SPEC_VERSION}")


def _model(onnx_path: Path, record: Record, spec: ModelSpec) -> dict[str, Any]:
    """Return the component of the model, with its card."""
    seal, weights = record.seal, record.seal["weights"]
    graph = read_lean(onnx_path)[0].graph
    card: dict[str, Any] = {
        "modelParameters": {
            "task": spec.kind,
            "modelArchitecture": record.title,
            "inputs": [{"format": _tensor(value)} for value in graph.input],
            "outputs": [{"format": _tensor(value)} for value in graph.output],
        }
    }
    limitations = list(_limitations(weights))
    if limitations:
        card["considerations"] = {"technicalLimitations": limitations}
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": record.model,
        "version": weights["sha256"],
        "description": record.title,
        "hashes": _sha256(record.onnx_sha256),
        "modelCard": card,
        "components": [
            {
                "type": "data",
                "bom-ref": _WEIGHTS,
                "name": weights["origin"],
                "version": weights["sha256"],
                "hashes": _sha256(weights["sha256"]),
            }
        ],
        "properties": [
            {"name": "cvport:opset", "value": str(seal["opset"])},
            {"name": "cvport:batch", "value": str(seal["batch"])},
            {"name": "cvport:labels", "value": ", ".join(seal["labels"])},
            {"name": "cvport:untrained", "value": json.dumps(record.untrained)},
            {"name": "cvport:origin", "value": weights["origin"]},
        ],
    }


def _limitations(weights: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a user of the model has to know about its weights."""
    if weights["untrained"]:
        yield "The weights are untrained: they were made from a seed, and results mean nothing."
    for guess in weights.get("assumed", ()):
        yield f"Assumed, as the weights do not tell: {guess}."


def _tensor(value: onnx.ValueInfoProto) -> str:
    """Return a tensor for people: name, type and sides, as in "input: float32 (batch, 3, 320, 320)"."""
    from onnx.helper import tensor_dtype_to_np_dtype

    tensor = value.type.tensor_type
    sides = ", ".join(dim.dim_param or str(dim.dim_value or "any") for dim in tensor.shape.dim)
    return f"{value.name}: {tensor_dtype_to_np_dtype(tensor.elem_type)} ({sides})"


def _packages(tools: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the packages of a seal with their versions; that of another's model is sealed as "NAME VERSION"."""
    for name, version in sorted(tools.items()):
        if name == MODEL_PACKAGE:
            package, _, number = version.partition(" ")
            yield package, number
        else:
            yield name, version


def _package(name: str, version: str) -> dict[str, Any]:
    """Return the component of a Python package, with what its metadata tells where it is installed."""
    licence = declared_licence(name, version)
    found: dict[str, Any] = {"type": "library", "name": name, "version": version}
    if licence is not None:
        entry = {"expression": licence.name} if licence.is_spdx else {"license": {"name": licence.name}}
        found["licenses"] = [entry]
    found["purl"] = f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version, safe='')}"
    return found


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]
