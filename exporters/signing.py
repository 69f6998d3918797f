"""Signatures: who has the private key of a public one made an artifact's sums, or a capture, as they are.

Ed25519 (RFC 8032) over the bytes of SHA256SUMS, or of the capture; 64 bytes in a file beside it. OpenSSL makes the keys
and checks the signatures too:

    openssl pkeyutl -verify -pubin -inkey PUBLIC.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArtifactError, BackendError, InputError
from ..runtimes.load import find_exported_file
from ..runtimes.sinks.output import write_whole
from .publish import SIGNATURE_NAME, SUMS_NAME

if TYPE_CHECKING:
    from pathlib import Path

_CAPTURE_SUFFIX = ".npz"
_MAKE = "openssl genpkey -algorithm ed25519 -out KEY.pem; openssl pkey -in KEY.pem -pubout -out PUBLIC.pem"


def is_capture(path: Path) -> bool:
    """Return whether a path is meant as that of a capture."""
    return path.suffix == _CAPTURE_SUFFIX


def sign(path: Path, key: Path) -> Path:
    """Sign an artifact or a capture.

    Args:
        path: The folder of an artifact, the .onnx file in it, or a capture.
        key: An unencrypted Ed25519 private key in PEM (PKCS #8).

    Returns:
        The file of the signature.

    Raises:
        BackendError: The package for it is not installed.
        ArtifactError: There is no such artifact.
        InputError: The key cannot be used, or nothing can be written there.

    """
    content, place = _signed_file(path)
    serialization, ed25519 = _cryptography()
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except TypeError as error:
        raise InputError(f"{key} is encrypted", "Decrypt it first: openssl pkey -in KEY.pem -out PLAIN.pem") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{key} is no private key in PEM that can be read", f"Make one: {_MAKE}") from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise InputError(f"{key} is no key of Ed25519", f"Make one: {_MAKE}")
    write_whole(place, private.sign(content.read_bytes()))
    return place


def signature_problem(path: Path, public_key: Path) -> str | None:
    """Return what is wrong with the signature of an artifact or a capture, None if it is that of the key.

    Args:
        path: As for `sign`.
        public_key: An Ed25519 public key in PEM.

    Raises:
        BackendError, ArtifactError, InputError: As for `sign`.

    """
    content, place = _signed_file(path)
    serialization, ed25519 = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        public = serialization.load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{public_key} is no public key in PEM that can be read", f"Make one: {_MAKE}") from error
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise InputError(f"{public_key} is no key of Ed25519", f"Make one: {_MAKE}")
    try:
        public.verify(place.read_bytes(), content.read_bytes())
    except FileNotFoundError:
        return f"there is no {place.name}"
    except (OSError, InvalidSignature):
        return f"{place.name} was not made with the private key of {public_key}, or for something else"
    return None


def _signed_file(path: Path) -> tuple[Path, Path]:
    """Return the file whose bytes are signed, and that of its signature."""
    if is_capture(path):
        if not path.is_file():
            raise ArtifactError(f"no such file: {path}", "Check the path; cvexport capture writes one.")
        return path, path.with_name(f"{path.name}.sig")
    file = find_exported_file(path)
    if file is None or not file.with_name(SUMS_NAME).is_file():
        raise ArtifactError(f"{path} is no artifact with its sums, nor a capture", "Give its folder, or a .npz file.")
    folder = file.resolve().parent
    return folder / SUMS_NAME, folder / SIGNATURE_NAME


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise BackendError("signatures need cryptography", "Install it: pip install 'cvport[sign]'") from error
    return serialization, ed25519
