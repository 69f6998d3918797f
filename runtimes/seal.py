"""The seal: what an exported file says about itself, enough to run it with nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from ..errors import ArtifactError

KEY = "cvport"
SCHEMA_VERSION = 1

_T = TypeVar("_T")


@dataclass(frozen=True)
class Seal:
    """The metadata of an exported file.

    Attributes:
        schema_version: Of this structure.
        model: The model's name.
        title: The variant in a few words.
        variant: The structure of the network.
        input_size: (H, W).
        batch: "dynamic", or the one batch size that the file takes.
        labels: Class names.
        preprocess: Parameters of the model's preprocessing.
        postprocess: Parameters of the model's postprocessing.
        weights: ``sha256``, ``origin`` and ``untrained``.
        opset: Of the file.
        tools: The version of each tool that took part.

    """

    schema_version: int
    model: str
    title: str
    variant: dict[str, Any]
    input_size: tuple[int, int]
    batch: str | int
    labels: tuple[str, ...]
    preprocess: dict[str, Any]
    postprocess: dict[str, Any]
    weights: dict[str, Any]
    opset: int
    tools: dict[str, str]

    @property
    def untrained(self) -> bool:
        """Whether the weights are made up."""
        return bool(self.weights.get("untrained"))

    def to_json(self) -> str:
        """Return the text that the file holds under `KEY`."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: object) -> Seal:
        """Read the seal of a file.

        Args:
            metadata: The custom metadata of the file.
            path: For messages.

        Raises:
            ArtifactError: There is no seal, or none that this version can read.

        """
        again = "Export it again: cvexport MODEL"
        if KEY not in metadata:
            raise ArtifactError(f"{path} was not made by cvexport (it has no {KEY!r} metadata)", again)
        try:
            content = json.loads(metadata[KEY])
            version = content["schema_version"]
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"the metadata of {path} cannot be read", again) from error
        if version != SCHEMA_VERSION:
            raise ArtifactError(
                f"{path} has metadata of schema {version!r}, this version reads {SCHEMA_VERSION}",
                "Use the cvport version that made it, or export it again.",
            )
        return read_params(cls, content, f"the metadata of {path}")


def read_params(kind: type[_T], content: object, where: str) -> _T:
    """Build a frozen dataclass from its JSON form: the very fields, lists as tuples.

    Raises:
        ArtifactError: Fields are missing or unknown, or hold what they must not.

    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, dict) or set(content) != known:
        given = set(content) if isinstance(content, dict) else set()
        wrong = ", ".join(sorted(known ^ given)) or "everything"
        raise ArtifactError(f"{where} does not fit {kind.__name__} (differs in: {wrong})", "Export the model again.")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{where} cannot be used: {error}", "Export the model again.") from error
