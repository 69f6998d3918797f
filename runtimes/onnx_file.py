"""The outside of an ONNX file: its versions and metadata, read without ONNX Runtime and without the graph.

An ONNX file is one protobuf message, ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the wire
format is that of https://protobuf.dev/programming-guides/encoding/. Only the fields of the message itself are looked
at; the graph, which is nearly all of the file, is stepped over by its length.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

from ..errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# Field numbers of ModelProto, OperatorSetIdProto and StringStringEntryProto.
_IR_VERSION, GRAPH, _OPSET_IMPORT, _METADATA_PROPS = 1, 7, 8, 14
_DOMAIN, _VERSION = 1, 2
_KEY, _VALUE = 1, 2

# Wire types of protobuf; 3 and 4 are groups, which ONNX has none of.
_VARINT, _FIXED64, LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BITS = 64

# Files of more are no models: the reader stays quick and small on hostile ones.
_MAX_FIELDS = 100_000
_MAX_ENTRY = 64 << 20
_CHUNK = 1 << 20

_T = TypeVar("_T")


class MalformedError(ValueError):
    """The bytes are not those of an ONNX file."""


class MetadataEntry(NamedTuple):
    """One entry of a file's metadata.

    Attributes:
        key: The entry's name.
        value: The entry's text.
        start: Where the entry begins in the file, its tag included.
        end: Where the entry ends.

    """

    key: str
    value: str
    start: int
    end: int


@dataclass(frozen=True)
class OnnxHeader:
    """What the outside of a file says.

    Attributes:
        ir_version: Version of ONNX's own format; 0 where the file does not say.
        opsets: Versions of the operator sets by domain; "" is ONNX's own.
        metadata: The entries of its metadata, in the file's order.
        size: Bytes of the file.

    """

    ir_version: int
    opsets: Mapping[str, int]
    metadata: tuple[MetadataEntry, ...]
    size: int


class Field(NamedTuple):
    """A field of a message: where it is, and its value where that is a number."""

    number: int
    wire_type: int
    start: int
    body: int
    end: int
    value: int


def read_header(path: Path) -> OnnxHeader:
    """Return what the outside of a file says.

    Raises:
        ArtifactError: The file is missing, cannot be read or is no ONNX file.

    """
    return read_with(path, parse_header)


def parse_header(stream: BinaryIO) -> OnnxHeader:
    """Return what the outside of a file says.

    Raises:
        MalformedError: The bytes are not those of an ONNX file.

    """
    size = stream.seek(0, os.SEEK_END)
    ir_version, graphs = 0, 0
    opsets: dict[str, int] = {}
    metadata = []
    for field in fields_of(stream, 0, size):
        kind = field.number, field.wire_type
        if kind == (_IR_VERSION, _VARINT):
            ir_version = field.value
        elif kind == (GRAPH, LENGTH):
            graphs += 1
        elif kind == (_OPSET_IMPORT, LENGTH):
            opsets |= _opset(stream, field)
        elif kind == (_METADATA_PROPS, LENGTH):
            metadata.append(_metadata(stream, field))
    if not graphs:
        raise MalformedError("it holds no graph" if size else "it is empty")
    return OnnxHeader(ir_version, opsets, tuple(metadata), size)


def hash_outside(path: Path, key: str) -> str:
    """Return the SHA-256, in hex, of a file's bytes without its metadata entry *key*.

    Raises:
        ArtifactError: The file is missing, cannot be read or is no ONNX file; more than one entry has that key.

    """
    return read_with(path, lambda stream: hash_stream_outside(stream, key))


def hash_stream_outside(stream: BinaryIO, key: str) -> str:
    """Return the SHA-256, in hex, of an ONNX file's bytes without its metadata entry *key*.

    Raises:
        MalformedError: The bytes are not those of an ONNX file, or more than one entry has that key.

    """
    import hashlib  # only where a file is hashed

    header = parse_header(stream)
    spans = [(entry.start, entry.end) for entry in header.metadata if entry.key == key]
    if len(spans) > 1:
        raise MalformedError(f"it holds {len(spans)} entries {key!r}")
    start, end = spans[0] if spans else (header.size, header.size)
    digest = hashlib.sha256()
    for first, last in ((0, start), (end, header.size)):
        stream.seek(first)
        rest = last - first
        while rest:
            chunk = read_bytes(stream, min(rest, _CHUNK))
            digest.update(chunk)
            rest -= len(chunk)
    return digest.hexdigest()


def read_with(path: Path, read: Callable[[BinaryIO], _T]) -> _T:
    """Open an ONNX file and read it.

    Args:
        path: The file.
        read: Reads what it wants from the open file.

    Raises:
        ArtifactError: The file is missing, cannot be read or is no ONNX file.

    """
    if not path.is_file():
        raise ArtifactError(f"no such file: {path}", "Export it: cvexport MODEL")
    try:
        with path.open("rb") as stream:
            return read(stream)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", "Check the file and its permissions.") from error
    except MalformedError as error:
        raise ArtifactError(
            f"{path} is not a usable ONNX model: {error}", "Copy it again, or export it again: cvexport MODEL"
        ) from error


def _opset(stream: BinaryIO, parent: Field) -> dict[str, int]:
    domain, version = "", 0
    for field in fields_of(stream, parent.body, parent.end):
        if (field.number, field.wire_type) == (_DOMAIN, LENGTH):
            domain = _text(stream, field)
        elif (field.number, field.wire_type) == (_VERSION, _VARINT):
            version = field.value
    return {domain: version}


def _metadata(stream: BinaryIO, parent: Field) -> MetadataEntry:
    texts = {_KEY: "", _VALUE: ""}
    for field in fields_of(stream, parent.body, parent.end):
        if field.number in texts and field.wire_type == LENGTH:
            texts[field.number] = _text(stream, field)
    return MetadataEntry(texts[_KEY], texts[_VALUE], parent.start, parent.end)


def _text(stream: BinaryIO, field: Field) -> str:
    """Return the text of a field."""
    length = field.end - field.body
    if length > _MAX_ENTRY:
        raise MalformedError(f"an entry of {length} bytes in its metadata")
    stream.seek(field.body)
    try:
        return read_bytes(stream, length).decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("its metadata is no UTF-8 text") from error


def fields_of(stream: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message between two places; the stream may be moved in between.

    Raises:
        MalformedError: The bytes are no message.

    """
    position = start
    for _ in range(_MAX_FIELDS):
        if position == end:
            return
        stream.seek(position)
        tag = _varint(stream, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise MalformedError(f"no field at byte {position}")
        value = 0
        if wire_type == _VARINT:
            value = _varint(stream, end)
            body = after = stream.tell()
        elif wire_type == LENGTH:
            length = _varint(stream, end)
            body = stream.tell()
            after = body + length
        elif wire_type in _FIXED_SIZES:
            body = stream.tell()
            after = body + _FIXED_SIZES[wire_type]
        else:
            raise MalformedError(f"no field at byte {position}")
        if after > end:
            raise MalformedError(f"it ends within the field at byte {position}: it is cut short or damaged")
        yield Field(number, wire_type, position, body, after, value)
        position = after
    raise MalformedError(f"it has more than {_MAX_FIELDS} parts")


def _varint(stream: BinaryIO, end: int) -> int:
    """Return the number that stands next in the stream: seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, _VARINT_BITS + 1, 7):
        if stream.tell() >= end:
            raise MalformedError("it ends within a number: it is cut short or damaged")
        byte = read_bytes(stream, 1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            if value >> _VARINT_BITS:
                break
            return value
    raise MalformedError("a number of more than 64 bits")


def read_bytes(stream: BinaryIO, length: int) -> bytes:
    """Return so many bytes; a file may become shorter while it is read.

    Raises:
        MalformedError: It has.

    """
    data = stream.read(length)
    if len(data) < length:
        raise MalformedError("it ends too early: it is cut short or damaged")
    return data
