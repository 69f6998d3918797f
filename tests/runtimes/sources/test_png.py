"""PNG files whose pixel data is cut short or altered inside."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cvport.errors import InputError
from cvport.runtimes.sources.images import read_frames, read_image

WIDTH, HEIGHT = 21, 13
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(data, *, depth=8, colour=2, interlaced=0, parts=1):
    """A file of WIDTH x HEIGHT with this unpacked pixel data, in so many chunks."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(data)
    size = -(-len(packed) // parts)
    chunks = b"".join(chunk(b"IDAT", packed[start : start + size]) for start in range(0, len(packed), size))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IEND", b"")


def rows(count, bits=24, value=200, width=WIDTH):
    return b"".join(b"\0" + bytes([value]) * ((width * bits + 7) // 8) for _ in range(count))


def interlaced(drop=0):
    passes = [rows(-(-(HEIGHT - y) // dy), width=-(-(WIDTH - x) // dx)) for x, y, dx, dy in ADAM7]
    whole = b"".join(passes)
    return whole[: len(whole) - drop]


def read(content):
    return read_image(io.BytesIO(content), name="a.png")


@pytest.mark.parametrize("parts", [1, 3])
def test_rows_that_are_missing_are_damage_not_black(parts):
    assert (read(png(rows(HEIGHT), parts=parts)) == 200).all()
    whole, found = HEIGHT * (1 + 3 * WIDTH), 5 * (1 + 3 * WIDTH)
    with pytest.raises(InputError, match=rf"cannot read a\.png: the pixel data ends after {found} of {whole} bytes"):
        read(png(rows(5), parts=parts))


def test_black_rows_that_are_there_are_fine():
    assert not read(png(rows(HEIGHT, value=0))).any()
    assert not read(png(rows(HEIGHT, 1, 0), depth=1, colour=0)).any()
    assert read(png(rows(HEIGHT, 64, 0), depth=16, colour=6)).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(InputError, match="ends after"):
        read(png(rows(HEIGHT - 1, 1), depth=1, colour=0))


def test_interlaced():
    assert (read(png(interlaced(), interlaced=1)) == 200).all()
    with pytest.raises(InputError, match="truncated"):
        read(png(interlaced(drop=100), interlaced=1))


def test_checksums_of_pixel_data_are_compared():
    content = png(rows(HEIGHT))
    place = content.index(b"IEND") - 5  # the last byte of the checksum before it
    altered = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    with pytest.raises(InputError, match="does not have the checksum that it was written with"):
        read(altered)


def test_frames_are_checked_too(tmp_path):
    path = tmp_path / "a.png"
    frames = [Image.fromarray(np.full((HEIGHT, WIDTH, 3), value, np.uint8)) for value in (10, 250)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert [image.mean() for image, _ in read_frames(path)] == [10, 250]
    content = bytearray(path.read_bytes())
    content[content.index(b"fdAT") + 15] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: .*checksum"):
        list(read_frames(path))
