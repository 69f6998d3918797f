"""The seal: what an exported file says about itself, enough to run it with nothing else.

The seal is the text of one metadata entry of the file. It is read from the file's bytes: no session is opened for it.
"""

from __future__ import annotations

import io
import json
import logging
import math
import re
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ArtifactError, UsageError
from ..models.fields import check_fields, fits, short, words
from ..models.forms import RAW
from ..models.params import check_size, params_from_json
from ..models.registry import get_model, is_known
from .digests import cached_digest
from .onnx_file import hash_outside, hash_stream_outside, read_header
from .plain_json import read_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..models.spec import ModelSpec
    from .onnx_file import OnnxHeader

KEY = "cvport"
SCHEMA_VERSION = 2
# Among the tools of a seal: name and version of the package that the model comes from, where it is not cvport itself.
MODEL_PACKAGE = "model"
# Version 1 has none of the optional fields, and its parameters may lack fields that were added since.
_LEGACY_VERSION = 1

_AGAIN = "Export it again: cvexport MODEL"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Entries of what a seal says of its weights; `assumed` may be missing.
_WEIGHTS: dict[str, Any] = {"sha256": str, "origin": str, "untrained": bool, "assumed": tuple[str, ...]}
# Of a whole batch: a float32 input of so many has 1.6 GB.
_MOST_PIXELS = 2**27
# ONNX is at 26; all that is made here has 18.
_LAST_OPSET = 1000

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Seal:
    """The metadata of an exported file.

    Attributes:
        schema_version: The version of this structure: 2, or 1 in older files.
        model: The model's name.
        title: The variant in a few words.
        variant: The structure of the network.
        input_size: (H, W).
        batch: "dynamic", or the one batch size that the file takes.
        labels: Class names.
        preprocess: Parameters of the model's preprocessing.
        postprocess: Parameters of the model's postprocessing.
        weights: ``sha256``, ``origin`` and ``untrained``; ``assumed``, what was guessed about them, where anything was.
        opset: The file's version of ONNX's operators.
        tools: The version of each tool that took part in the export.
        form: The form of the file's outputs; None is "raw", the network's own.
        probe: The recipe of an input with expected outputs, see `runtimes.probe`; None where the file has none.
        digest: SHA-256 of the file's bytes without its metadata entry; None where it was sealed without.

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
    form: str | None = None
    probe: dict[str, Any] | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense, with a ValueError: they may come from a damaged file."""
        check_fields(self)
        check_size(self.input_size)
        _check(self.batch == "dynamic" or _is_count(self.batch), "batch", "is neither dynamic nor a number of images")
        rows = 1 if isinstance(self.batch, str) else self.batch
        _check(
            rows * math.prod(self.input_size) <= _MOST_PIXELS, "batch", f"of {rows} has more pixels than fit a network"
        )
        _check(1 <= self.opset <= _LAST_OPSET, "opset", "is no version")
        _check(self.digest is None or _SHA256.fullmatch(self.digest), "digest", "is no SHA-256")
        problem = _problem_of_weights(self.weights)
        _check(not problem, "weights", problem)

    @property
    def untrained(self) -> bool:
        """Whether the weights are made up."""
        return bool(self.weights.get("untrained"))

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was guessed about the weights when the file was made, for people."""
        return tuple(self.weights.get("assumed", ()))

    @property
    def is_legacy(self) -> bool:
        """Whether an older version made it: fields that its parameters lack then have their defaults."""
        return self.schema_version == _LEGACY_VERSION

    def to_json(self) -> str:
        """Return the text that the file holds under `KEY`; optional fields that are None are left out."""
        content = asdict(self)
        kept = {name: value for name, value in content.items() if value is not None or name not in _OPTIONAL}
        return json.dumps(kept, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, path: object) -> Seal:
        """Read the text of a file's seal.

        Args:
            text: The value of the metadata entry `KEY`.
            path: The file, for messages.

        Raises:
            ArtifactError: This version cannot read it.

        """
        try:
            content = read_plain(text)
            version = content["schema_version"]
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"the metadata of {path} cannot be read: {error}", _AGAIN) from error
        if type(version) is not int or version not in (_LEGACY_VERSION, SCHEMA_VERSION):
            raise ArtifactError(
                f"{path} has metadata of schema {short(version)}, "
                f"this version reads {_LEGACY_VERSION} and {SCHEMA_VERSION}",
                "Use the cvport version that made it, or export it again.",
            )
        optional = _OPTIONAL if version == SCHEMA_VERSION else frozenset()
        return _build(cls, content, f"the metadata of {path}", optional, frozenset() if optional else _OPTIONAL)


def _with_default(kind: type[Any]) -> frozenset[str]:
    """Return the names of a dataclass's fields that have a default."""
    return frozenset(
        field.name for field in fields(kind) if field.default is not MISSING or field.default_factory is not MISSING
    )


_OPTIONAL = _with_default(Seal)


def read_seal(path: Path) -> Seal:
    """Return the seal of a file, from its bytes alone.

    Raises:
        ArtifactError: The file is missing or no ONNX file; it has no seal, or none that this version can read.

    """
    header = read_header(path)
    texts = [entry.value for entry in header.metadata if entry.key == KEY]
    if not texts:
        raise ArtifactError(
            f"{path} was not made by cvexport: it has no {KEY!r} metadata ({_describe(header)})",
            "Run a file that cvexport made, or export the model: cvexport MODEL --weights W",
        )
    if len(texts) > 1:
        raise ArtifactError(f"{path} is not a usable ONNX model: it holds {len(texts)} entries {KEY!r}", _AGAIN)
    return Seal.from_json(texts[0], path)


def sealed_model(seal: Seal, path: object) -> ModelSpec:
    """Return the model that a file is an export of.

    Raises:
        ArtifactError: The model is not installed here, or its package is broken; or it has no such form.

    """
    return recorded_model({"model": seal.model, "tools": seal.tools, "form": seal.form}, path)


def recorded_model(sealed: Mapping[str, Any], where: object) -> ModelSpec:
    """Return the model that is named in the JSON form of a seal, or in a part of it.

    Args:
        sealed: ``model``, and ``tools`` and ``form`` where they are known.
        where: What holds it, for messages.

    Raises:
        ArtifactError: The model is not installed here, or its package is broken.

    """
    name, package = sealed["model"], sealed.get("tools", {}).get(MODEL_PACKAGE)
    try:
        spec = get_model(name)
    except UsageError as error:
        if is_known(name):
            raise ArtifactError(f"{where} cannot be used: {error.message}", error.hint) from error
        if isinstance(package, str):
            raise ArtifactError(
                f"{where} holds {name!r}, a model of {package}, which is not installed",
                f"Install the package: pip install {package.partition(' ')[0]}",
            ) from error
        raise ArtifactError(f"{where} holds {name!r}, a model unknown to this version", error.hint) from error
    form = sealed.get("form") or RAW
    try:
        return spec.in_form(form)
    except UsageError as error:
        raise ArtifactError(
            f"{where} has outputs of the form {form!r}, which this version of {name} does not have",
            "Use the cvport version that made it, or export it again.",
        ) from error


def content_digest(path: Path) -> str:
    """Return the SHA-256, in hex, of a file's bytes without its seal.

    Raises:
        ArtifactError: The file is missing or no ONNX file.

    """
    return hash_outside(path, KEY)


def content_digest_of(data: bytes) -> str:
    """Return the SHA-256, in hex, of an ONNX file's bytes without its seal.

    Raises:
        MalformedError: The bytes are not those of an ONNX file.

    """
    return hash_stream_outside(io.BytesIO(data), KEY)


def digest_fits(path: Path, seal: Seal) -> bool | None:
    """Tell whether a file's bytes have the digest of its seal; None where it has none.

    A digest that was computed is kept in the user's cache: the next look at the same file costs a fraction of a
    millisecond. External data of a file of more than 2 GB is not in the digest.
    """
    if seal.digest is None:
        return None
    return cached_digest(path, content_digest) == seal.digest


def check_digest(path: Path, seal: Seal) -> None:
    """Refuse a file whose bytes are not those that were sealed; say so where nothing was sealed.

    Raises:
        ArtifactError: The file was altered.

    """
    fits = digest_fits(path, seal)
    if fits is None:
        _log.warning("%s was sealed without a digest: whether it was altered after export cannot be seen", path)
    elif not fits:
        raise ArtifactError(
            f"{path} was altered after export: its content does not have the digest that is sealed in it",
            "Copy it again from where it was exported, or export it again: cvexport MODEL",
        )


def sealed_params(spec: ModelSpec, seal: Seal, path: object) -> tuple[Any, Any]:
    """Return the preprocessing and the postprocessing parameters of a file.

    Raises:
        ArtifactError: They do not fit the model.

    """
    preprocess_type, postprocess_type = spec.params_types
    preprocess = read_params(
        preprocess_type, seal.preprocess, f"the sealed preprocessing of {path}", legacy=seal.is_legacy
    )
    postprocess = read_params(
        postprocess_type, seal.postprocess, f"the sealed postprocessing of {path}", legacy=seal.is_legacy
    )
    for what, params in (("preprocessing", preprocess), ("postprocessing", postprocess)):
        size = getattr(params, "input_size", seal.input_size)
        if tuple(size) != seal.input_size:
            raise ArtifactError(
                f"the seal of {path} contradicts itself: "
                f"the sealed input size {seal.input_size} is not that of the {what} {size}",
                _AGAIN,
            )
    return preprocess, postprocess


def read_params(kind: type[_T], content: object, where: str, *, legacy: bool = False) -> _T:
    """Build parameters from their JSON form, see `params_from_json`.

    Args:
        kind: The dataclass.
        content: The JSON object.
        where: The place of the object, for messages.
        legacy: Whether the content was sealed by version 1.

    Raises:
        ArtifactError: Fields are missing or unknown, or hold what they must not.

    """
    try:
        return params_from_json(kind, content, legacy=legacy)
    except ValueError as error:
        raise ArtifactError(f"{where} cannot be used: {error}", "Export the model again.") from error


def _build(
    kind: type[_T], content: object, where: str, optional: frozenset[str], unknown: frozenset[str] = frozenset()
) -> _T:
    """Build a dataclass from its JSON form; *optional* fields may be missing, *unknown* ones may not be there."""
    known = {field.name for field in fields(kind)} - unknown  # type: ignore[arg-type]
    given = set(content) if isinstance(content, dict) else set()
    wrong = (given - known) | (known - given - optional)
    if not isinstance(content, dict) or wrong:
        names = ", ".join(name if name in known else short(name)[1:-1] for name in sorted(wrong)) or "everything"
        raise ArtifactError(f"{where} does not fit {kind.__name__} (differs in: {names})", "Export the model again.")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{where} cannot be used: {error}", "Export the model again.") from error


def _check(fits: object, name: str, problem: str) -> None:
    if not fits:
        raise ValueError(f"{name} {problem}")


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _problem_of_weights(weights: Mapping[str, Any]) -> str:
    """Return what is wrong with what a seal says of its weights, or an empty string."""
    for name, value in weights.items():
        kind = _WEIGHTS.get(name)
        if kind is None:
            return f"have an unknown entry {short(name)}"
        if not fits(tuple(value) if isinstance(value, list) else value, kind):
            return f"have {name} {short(value)}, which is not {words(kind)}"
    missing = [name for name in _WEIGHTS if name not in weights and name != "assumed"]
    return f"have no {', '.join(missing)}" if missing else ""


def _describe(header: OnnxHeader) -> str:
    """Return the versions of a file, for a message about one that another tool made."""
    opset = header.opsets.get("", 0)
    return f"ONNX IR version {header.ir_version}, opset {opset}" if opset else f"ONNX IR version {header.ir_version}"
