"""What decoding takes in memory is known from the header, and limited."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cvport.errors import InputError
from cvport.runtimes.sources.decoding import BYTES_PER_PIXEL, MAX_PIXELS, check_size
from cvport.runtimes.sources.images import read_image

FORMATS = {
    "a.png": (8, {}),
    "a.jpg": (8, {}),
    "a.bmp": (8, {}),
    "p.gif": (8, {}),
    "progressive.jpg": (12, {"progressive": True}),
    "a.tif": (13, {"compression": "tiff_lzw"}),
    "a.avif": (16, {"speed": 10}),
    "a.webp": (18, {"method": 0}),
    "a.jp2": (20, {}),
    "several.webp": (24, {"save_all": True, "method": 0}),
    "several.gif": (24, {"save_all": True}),
}


def save(path, side):
    """A picture of this side in the format that the name says, of two frames where it says so."""
    each, options = FORMATS[path.name]
    small = np.random.default_rng(0).integers(0, 256, (max(side // 10, 1), max(side // 10, 1), 3), np.uint8)
    image = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
    more = {"append_images": [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]} if "save_all" in options else {}
    image.save(path, **options, **more)
    return each


@pytest.mark.parametrize("name", FORMATS)
def test_limit_is_on_bytes(tmp_path, name, monkeypatch):
    each = save(tmp_path / name, 40)
    # As if 40x40 were the largest: what takes more bytes than a PNG of that size is refused.
    monkeypatch.setattr("cvport.runtimes.sources.decoding.MAX_PIXELS", 1600)
    if each == BYTES_PER_PIXEL:
        assert read_image(tmp_path / name, 1600).shape == (40, 40, 3)
        return
    with pytest.raises(
        InputError, match=r"40x40 pixels of \w+, which take 0 MB to decode, the limit is 0 MB"
    ) as caught:
        read_image(tmp_path / name, 1600)
    needed = 1600 * each // BYTES_PER_PIXEL
    assert f"--max-pixels {needed}, " in caught.value.hint
    assert read_image(tmp_path / name, needed).shape == (40, 40, 3)


@pytest.mark.parametrize("name", FORMATS)
def test_a_small_limit_of_pixels_is_one_of_pixels(tmp_path, name):
    save(tmp_path / name, 40)
    assert read_image(tmp_path / name, 1600).shape == (40, 40, 3)
    with pytest.raises(InputError, match="40x40 pixels, the limit is 1,599"):
        read_image(tmp_path / name, 1599)


def test_a_gif_of_few_bytes_that_claims_many_pixels():
    """A canvas of 12,000 x 12,000 pixels, which once took 1.2 GB."""
    content = b"GIF89a" + struct.pack("<HH", 12_000, 12_000) + b"\x80\0\0" + bytes(6)
    content += b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0;"
    with pytest.raises(InputError, match=r"12000x12000 pixels, the limit is 100,000,000"):
        read_image(io.BytesIO(content), name="a.gif")


def test_a_tile_larger_than_its_image(tmp_path):
    class Opened:
        format, width, height, tag_v2 = "TIFF", 16, 16, {322: 1 << 15, 323: 1 << 15}

    with pytest.raises(InputError, match="which take 13,959 MB to decode, the limit is 800 MB"):
        check_size("a.tif", Opened(), MAX_PIXELS)


MEASURE = """
import sys
from pathlib import Path
from cvport.runtimes.sources.images import read_frames, read_image
from cvport.runtimes.sources.decoding import MAX_PIXELS

def read(path):
    return [0 for _ in read_frames(path)] if "several" in path.name else read_image(path)

def status(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

read(Path(sys.argv[1]))  # what the decoder needs once
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
kept = read(Path(sys.argv[2]))
print(status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory is read from /proc")
@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_those_that_are_taken(tmp_path, name):
    for folder, side in (("small", 40), ("large", 2000)):
        (tmp_path / folder).mkdir()
        each = save(tmp_path / folder / name, side)
    command = [sys.executable, "-c", MEASURE, tmp_path / "small" / name, tmp_path / "large" / name]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 0.4 * each < grown / 2000**2 < each + 0.5  # half a byte: what the allocator rounds up
