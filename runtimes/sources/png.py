"""Tells whether the pixel data of a PNG is whole: Pillow checks neither its checksums nor its length."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_SIGNATURE_LENGTH = 8
_CHUNK = 1 << 20
# Samples of a pixel by colour type: PNG specification, third edition, 11.2.1.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png_damage(stream: BinaryIO, decoded: Image) -> str | None:
    """Return what is wrong with the pixel data of a PNG that was decoded, None if nothing is.

    Args:
        stream: The file's content; read from its start.
        decoded: What Pillow made of it, not yet converted.

    """
    stream.seek(_SIGNATURE_LENGTH)
    header, inflated = b"", 0
    # Rows that the data does not reach are left at 0, so only such an image is worth unpacking twice. Of one that is
    # interlaced Pillow sees it.
    last_row = decoded.crop((0, decoded.height - 1, decoded.width, decoded.height))
    counted = not decoded.info.get("interlace") and not np.asarray(last_row).any()
    unpack = zlib.decompressobj()
    while len(head := stream.read(8)) == 8:  # noqa: PLR2004
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IHDR":
            header = stream.read(length)
            stream.seek(4, 1)
        elif kind in (b"IDAT", b"fdAT"):
            content = stream.read(length)
            if zlib.crc32(kind + content).to_bytes(4) != stream.read(4):
                return "the pixel data does not have the checksum that it was written with"
            inflated += _unpacked(unpack, content) if counted and kind == b"IDAT" else 0
        elif kind == b"IEND":
            break
        else:
            stream.seek(length + 4, 1)
    if counted and inflated < (expected := _expected(header)):
        return f"the pixel data ends after {inflated:,} of {expected:,} bytes"
    return None


def _unpacked(unpack: zlib._Decompress, content: bytes) -> int:
    """Return how many bytes some packed data has, holding few of them at a time."""
    count = 0
    while content:
        count += len(unpack.decompress(content, _CHUNK))
        content = unpack.unconsumed_tail
    return count


def _expected(header: bytes) -> int:
    """Return how many bytes the unpacked data of an image has that is not interlaced, by its IHDR chunk."""
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    return int(height * (1 + (width * depth * _SAMPLES[colour] + 7) // 8))
