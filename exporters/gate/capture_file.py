"""The file of a capture: arrays with a JSON description and one SHA-256 over all of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArtifactError, WeightsError
from ...models.weights.digest import sha256_file
from .stored import DAMAGE, read_arrays, told_as_damage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA_VERSION = 2
_META, _DIGEST = "meta", "sha256"
# What a capture and a file must agree on to be about the same network and the same way to and from it.
SHARED = ("model", "variant", "input_size", "labels", "preprocess", "postprocess")


@dataclass(frozen=True)
class Capture:
    """The content of a capture file.

    Attributes:
        meta: The description: ``seal`` (what `_SHARED` names, and the weights), ``cases``, ``noise_floor``, ``limits``,
            ``hf32_effect``, ``environment``, ``npu``; ``onnx_sha256`` if it was made for a file, ``taps`` if values
            from the inside of the network were kept.
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
        if not path.exists():
            raise ArtifactError(f"no such file: {path}", "Check the path; cvexport capture writes one.")
        try:
            arrays = read_arrays(path)
            digest = arrays.pop(_DIGEST).tobytes().hex()
            capture = cls(json.loads(arrays.pop(_META).tobytes()), arrays)
            version = capture.meta["schema_version"]
            found = capture.digest
        except DAMAGE as error:
            raise ArtifactError(f"{path} is no capture, or a damaged one: {error}", again) from error
        if digest != found:
            raise ArtifactError(f"{path} was altered: its content does not have the SHA-256 it was sealed with", again)
        if version != SCHEMA_VERSION:
            raise ArtifactError(f"{path} has schema {version!r}, this version reads {SCHEMA_VERSION}", again)
        with told_as_damage(path, again):
            _check_meta(capture)
        return capture


def _check_meta(capture: Capture) -> None:
    """Refuse a description whose general parts are not what they should be, with a ValueError, TypeError or KeyError.

    Those of the cases are checked by `rebuild_reference`, which uses them.
    """
    meta = capture.meta
    for name in ("seal", "environment", "npu"):
        if not isinstance(meta[name], dict):
            raise TypeError(f"{name} is {meta[name]!r}")
    texts = [meta["npu"]["device"], meta["seal"]["model"], meta["seal"]["weights"]["sha256"]]
    texts += [] if meta["onnx_sha256"] is None else [meta["onnx_sha256"]]
    texts += [text for pair in meta["environment"].items() for text in pair]
    missing = [name for name in SHARED if name not in meta["seal"]]
    if missing or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{', '.join(missing) or 'a name'} is missing or is no text")
    settings = meta["npu"]["settings"]
    if not isinstance(settings["strict"], dict) or not all(isinstance(entry, dict) for entry in settings.values()):
        raise ValueError("the settings of the device are no object")
    if (taps := meta.get("taps")) is not None:
        for name in (f"tap_input/{taps['input']}", *(f"tap/{name}" for name in taps["values"])):
            if not np.issubdtype(capture.arrays[name].dtype, np.number):
                raise ValueError(f"{name} is no array of numbers")


def check_belongs(capture: Capture, seal: Mapping[str, Any], onnx_path: Path, *, same_file: bool = True) -> None:
    """Refuse a capture that is about something else than a file.

    Args:
        capture: The capture.
        seal: The JSON form of the file's seal.
        onnx_path: The file.
        same_file: Whether a capture that was made for a file has to be of this one, byte for byte.

    Raises:
        WeightsError: It was made with other weights.
        ArtifactError: It was made for another network, or for another file of this one.

    """
    described = capture.meta["seal"]
    captured, sealed = (part["weights"]["sha256"] for part in (described, seal))
    if captured != sealed:
        raise WeightsError(
            f"the capture was made with other weights than {onnx_path}",
            f"Sealed sha256 {sealed}, captured {captured}.",
        )
    differing = [name for name in SHARED if described[name] != seal[name]]
    if differing:
        raise ArtifactError(
            f"the capture was made for another network than {onnx_path}: {', '.join(differing)} differ",
            "Capture the file itself: cvexport capture FILE.onnx --weights W",
        )
    if same_file and capture.meta["onnx_sha256"] not in (None, sha256_file(onnx_path)):
        raise ArtifactError(f"the capture was made for another file than {onnx_path}", "Capture this one.")
