"""The outside of an ONNX file is read as onnx reads it; what is damaged or hostile is refused quickly."""

import io
import random
import time
from contextlib import suppress

import onnx
import pytest

from cvport.errors import ArtifactError
from cvport.runtimes.onnx_file import MalformedError, hash_stream_outside, parse_header, read_header


def varint(value):
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def field(number, payload):
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


GRAPH = field(7, b"")


def entry(key, value):
    return field(14, field(1, key.encode()) + field(2, value.encode()))


def parse(data):
    return parse_header(io.BytesIO(data))


def test_header_is_what_onnx_reads(nano_artifact):
    model = onnx.load(nano_artifact.onnx)
    header = read_header(nano_artifact.onnx)
    assert header.ir_version == model.ir_version > 0
    assert header.opsets == {"": 18}
    assert [(found.key, found.value) for found in header.metadata] == [(e.key, e.value) for e in model.metadata_props]
    assert header.size == nano_artifact.onnx.stat().st_size


def test_place_of_an_entry():
    data = GRAPH + entry("a", "ä") + entry("b", "2")
    first, second = parse(data).metadata
    assert (first.key, first.value) == ("a", "ä")
    assert data[first.start : first.end] == entry("a", "ä")
    assert data[second.start :] == entry("b", "2")
    assert second.end == len(data)


def test_fields_of_every_kind_are_stepped_over():
    other = varint(20 << 3) + varint(300) + varint(21 << 3 | 1) + bytes(8) + varint(22 << 3 | 5) + bytes(4)
    data = b"\x08\x0a" + other + GRAPH + field(8, b"\x0a\x02xy\x10\x03") + other
    header = parse(data)
    assert header.ir_version == 10
    assert header.opsets == {"xy": 3}
    assert header.metadata == ()


def test_entry_without_a_value_or_a_key():
    assert [tuple(found[:2]) for found in parse(GRAPH + field(14, b"") + field(14, field(2, b"v"))).metadata] == [
        ("", ""),
        ("", "v"),
    ]


class Sparse(io.RawIOBase):
    """A model with a graph of 3 GiB, of which nothing but the outside may be read."""

    def __init__(self):
        graph = varint(7 << 3 | 2) + varint(3 << 30)
        self.parts = {0: graph, len(graph) + (3 << 30): entry("k", "v")}
        self.size = len(graph) + (3 << 30) + len(entry("k", "v"))
        self.place = 0

    def seek(self, offset, whence=0):
        self.place = self.size + offset if whence == 2 else offset
        return self.place

    def tell(self):
        return self.place

    def read(self, length=-1):
        for start, part in self.parts.items():
            if start <= self.place < start + len(part):
                data = part[self.place - start :][:length]
                self.place += len(data)
                return data
        raise AssertionError("the graph is read")


def test_graph_of_more_than_2_gib_is_stepped_over():
    ((key, value, start, end),) = parse_header(Sparse()).metadata
    assert (key, value) == ("k", "v")
    assert start > 3 << 30
    assert end == Sparse().size


HOSTILE = {
    "empty": (b"", "it is empty"),
    "no graph": (entry("cvport", "{}"), "it holds no graph"),
    "text": (b"no network\n" * 50, "no field at byte 0"),
    "picture": (b"\x89PNG\r\n\x1a\n", "no field|no graph|cut short"),
    "field 0": (GRAPH + b"\x00\x01", "no field at byte 2"),
    "group": (GRAPH + varint(9 << 3 | 3), "no field at byte 2"),
    "longer than the file": (GRAPH + varint(14 << 3 | 2) + varint(1 << 40), "ends within the field at byte 2"),
    "length of 2**64": (GRAPH + varint(14 << 3 | 2) + b"\xff" * 9 + b"\x02", "more than 64 bits"),
    "endless number": (GRAPH + varint(1 << 3) + b"\xff" * 40, "more than 64 bits"),
    "ends in a tag": (GRAPH + b"\xff", "ends within a number"),
    "ends in a length": (GRAPH + varint(14 << 3 | 2) + b"\xff", "ends within a number"),
    "ends in a fixed number": (GRAPH + varint(9 << 3 | 1) + bytes(7), "ends within the field"),
    "part that is longer than its entry": (GRAPH + field(14, b"\x0a\x05ab"), "ends within the field"),
    "number that leaves its entry": (GRAPH + field(8, b"\x10\xff") + b"\x01", "ends within a number"),
    "no text": (GRAPH + field(14, field(1, b"\xff\xfe")), "no UTF-8 text"),
}


@pytest.mark.parametrize(("data", "problem"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(tmp_path, data, problem):
    with pytest.raises(MalformedError, match=problem):
        parse(data)
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"a\.onnx is not a usable ONNX model: ") as caught:
        read_header(path)
    assert caught.value.hint


def test_very_many_parts_are_refused_quickly():
    start = time.perf_counter()
    with pytest.raises(MalformedError, match="more than 100000 parts"):
        parse(GRAPH * 150_000)
    assert time.perf_counter() - start < 10


def test_very_long_metadata_is_not_read(tmp_path):
    path = tmp_path / "a.onnx"
    length = (64 << 20) + 1
    inner = varint(1 << 3 | 2) + varint(length)
    start = GRAPH + varint(14 << 3 | 2) + varint(len(inner) + length) + inner
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + length)
    with pytest.raises(ArtifactError, match=f"an entry of {length} bytes in its metadata"):
        read_header(path)


def test_cut_and_altered_files_are_refused_or_read(nano_artifact, tmp_path):
    whole = nano_artifact.onnx.read_bytes()
    path = tmp_path / "a.onnx"
    chance = random.Random(0)
    for _ in range(200):
        data = bytearray(whole[-3000:] if chance.random() < 0.5 else whole[: chance.randrange(len(whole))])
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        with suppress(ArtifactError):
            read_header(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "gone.onnx", tmp_path):
        with pytest.raises(ArtifactError, match="no such file"):
            read_header(path)


def test_hash_leaves_one_entry_out():
    import hashlib

    rest = GRAPH + entry("a", "1")
    expected = hashlib.sha256(rest).hexdigest()
    assert hash_stream_outside(io.BytesIO(rest), "k") == expected
    assert hash_stream_outside(io.BytesIO(GRAPH + entry("k", "x" * 500) + entry("a", "1")), "k") == expected
