"""The outside of ONNX files: their metadata, and the digest of the bytes around it."""

from __future__ import annotations

import io

from cvport.errors import ArtifactError
from cvport.runtimes.onnx_file import MalformedError, hash_stream_outside, parse_header
from cvport.runtimes.seal import KEY
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_bytes


def run(data: bytes) -> None:
    """Read the header, and hash what is around the seal."""
    stream = io.BytesIO(data)
    try:
        header = parse_header(stream)
        digest = hash_stream_outside(stream, KEY)
    except MalformedError as error:  # `read_with` says it with the path
        raise ArtifactError(str(error)) from error
    if header.size != len(data) or any(not 0 <= e.start < e.end <= len(data) for e in header.metadata):
        raise SilentChangeError(f"places outside of the file: {header}")
    inside = [entry for entry in header.metadata if entry.key == KEY]
    for entry in inside:
        without = io.BytesIO(data[: entry.start] + data[entry.end :])
        if hash_stream_outside(without, KEY) != digest:
            raise SilentChangeError("the digest depends on the seal")


def onnx_bytes(*metadata: tuple[str, bytes]) -> bytes:
    """A file with an empty graph and these entries."""
    opset = _field(1, b"") + b"\x10\x12"
    entries = (_field(14, _field(1, key.encode()) + _field(2, value)) for key, value in metadata)
    return b"\x08\x0a" + _field(7, b"\x0a\x00") + _field(8, opset) + b"".join(entries)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def seeds() -> list[bytes]:
    """Files with the seal first, last and alone."""
    sealed, other = (KEY, b'{"schema_version": 2}'), ("author", b"x" * 200)
    return [onnx_bytes(sealed), onnx_bytes(sealed, other), onnx_bytes(other, sealed)]


TARGET = Target(seeds, run, mutate_bytes, (ArtifactError.exit_code,))
