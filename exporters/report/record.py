"""parity.json: everything about one comparison, written and read back. A report needs nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import ArtifactError
from ...runtimes.parity.measure import TensorStats
from ..gate.policy import Limits, TensorLimit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..gate.parity import Comparison, Reference
    from ..gate.policy import DecodedLimit

SCHEMA_VERSION = 1
_PACKAGES = (
    "cvport",
    "torch",
    "torch_npu",
    "transformers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "numpy",
    "opencv-python-headless",
    "pillow",
)


def make_record(
    *,
    seal: Mapping[str, Any],
    onnx_sha256: str,
    legs: Mapping[str, Mapping[str, str]],
    decided_by: Mapping[str, str],
    reference: Reference,
    comparisons: Sequence[Comparison],
    npu: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of parity.json.

    Args:
        seal: What the file was meant to say about itself.
        onnx_sha256: Of the file.
        legs: For each leg, its ``status`` ("ran" or "not run") and what it ran on, or why not.
        decided_by: For each thing that the weights do not tell, who decided it.
        reference: The PyTorch leg.
        comparisons: Everything that was compared and counts.
        npu: From `compare_npu`, where that leg ran.

    """
    failed = [entry for entry in comparisons if entry.judgement.verdict != "passed"]
    return {
        "schema_version": SCHEMA_VERSION,
        "model": seal["model"],
        "title": seal["title"],
        "untrained": bool(seal["weights"]["untrained"]),
        "onnx_sha256": onnx_sha256,
        "verdict": "failed" if failed else "passed",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "legs": {name: dict(leg) for name, leg in legs.items()},
        "decided_by": dict(decided_by),
        "environment": environment(),
        "seal": dict(seal),
        "noise_floor": {name: asdict(stats) for name, stats in reference.floor.items()},
        "limits": limits_to_dict(reference.limits),
        "cases": cases_to_dict(reference),
        "comparisons": comparisons_to_dict(comparisons),
        **({} if npu is None else {"npu": dict(npu)}),
    }


def cases_to_dict(reference: Reference) -> list[dict[str, Any]]:
    """Return the JSON form of what was compared on, but for the pictures themselves."""
    return [
        {
            "name": case.name,
            "pictures": [{"height": p.shape[0], "width": p.shape[1]} for p in (view.image for view in case.views)],
            "best": case.best,
            "boxes": [view.box for view in case.views],
        }
        for case in reference.cases
    ]


def comparisons_to_dict(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return the JSON form of comparisons."""
    return [entry.to_dict() for entry in comparisons]


def environment() -> dict[str, str]:
    """Return what the comparison ran on: versions of what is installed, and machine."""
    versions = {}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {**versions, "python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Write parity.json."""
    path.write_text(record_text(record), encoding="utf-8")


def record_text(record: Mapping[str, Any]) -> str:
    """Return the text of a parity.json; NaN and infinities, which JSON has no numbers for, become strings."""
    return json.dumps(_json_safe(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_record(path: Path) -> dict[str, Any]:
    """Read a parity.json.

    Raises:
        ArtifactError: It is missing, damaged, or of another schema.

    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = record["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", "Export the model again.") from error
    if version != SCHEMA_VERSION:
        raise ArtifactError(f"{path} has schema {version!r}, this version reads {SCHEMA_VERSION}", "Export again.")
    return record


def limits_to_dict(limits: Limits) -> dict[str, Any]:
    """Return the JSON form of the limits."""
    tensors = {name: asdict(limit) for name, limit in limits.tensors.items()}
    return {"tensors": tensors, "decoded": asdict(limits.decoded)}


def limits_from_dict(content: Mapping[str, Any], decoded: type[DecodedLimit]) -> Limits:
    """Return the limits that `limits_to_dict` wrote; *decoded* is the type of those of decoded results."""
    tensors = {name: TensorLimit(**_numbers(limit)) for name, limit in content["tensors"].items()}
    return Limits(tensors, decoded(**_numbers(content["decoded"])))


def floor_from_dict(content: Mapping[str, Any]) -> dict[str, TensorStats]:
    """Return the noise floor that a record holds."""
    return {name: TensorStats(**_numbers(stats)) for name, stats in content.items()}


def _numbers(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float(value) if value in ("nan", "inf", "-inf") else value for key, value in content.items()}


def _json_safe(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    return value
