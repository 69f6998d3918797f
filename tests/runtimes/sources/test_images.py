"""Every kind of image becomes BGR bytes, every other file an error."""

import os
import socket
import struct
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from cvport.errors import InputError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.sources.images import MAX_PIXELS, SUFFIXES, as_image, count_frames, read_image

ORIENTATION = 0x0112
# What has to be done to the stored pixels, by the value of the EXIF tag (EXIF 2.32, 4.6.4).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.fixture(autouse=True)
def pillow_limit(monkeypatch):
    """Pillow's own limit is a global that reading may raise: put it back."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def rgb():
    return np.ascontiguousarray(scene(24, 40, seed=5)[..., ::-1])


def png_header(path: Path, width: int, height: int) -> Path:
    """Write a grey PNG that says it is so large and has next to no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))
    return path


# --- kinds of pictures


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path, rgb, orientation, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored, turned = tmp_path / f"stored{suffix}", tmp_path / f"turned{suffix}"
    Image.fromarray(rgb).save(stored)
    Image.fromarray(rgb).save(turned, exif=exif)
    image = read_image(turned)
    np.testing.assert_array_equal(image, UPRIGHT[orientation](read_image(stored)))
    assert image.flags.c_contiguous


def test_colours_are_bgr(tmp_path, rgb):
    path = tmp_path / "a.png"
    Image.fromarray(rgb).save(path)
    image = read_image(str(path))
    np.testing.assert_array_equal(image, rgb[..., ::-1])
    assert image.dtype == np.uint8


def test_grey_becomes_three_equal_channels(tmp_path, rgb):
    grey = rgb[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.dstack([grey] * 3))


def test_black_and_white(tmp_path, rgb):
    bits = rgb[..., 0] > 100
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.dstack([bits * np.uint8(255)] * 3))


def test_transparency_is_dropped_and_the_colour_under_it_stays(tmp_path, rgb):
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[:, ::2] = 90
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([rgb[..., 0], alpha])).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgb[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), np.dstack([rgb[..., 0]] * 3))


@pytest.mark.parametrize("transparency", [None, 3])
@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_palette(tmp_path, rgb, transparency, suffix):
    picture = Image.fromarray(rgb).quantize(16)
    extra = {} if transparency is None else {"transparency": transparency}
    picture.save(tmp_path / f"a{suffix}", **extra)
    expected = np.asarray(picture.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), expected)


def test_16_bit_grey_keeps_the_upper_8_bits(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.dstack([values // 256] * 3))


@pytest.mark.parametrize("name", ["a.pgm", "a.tiff"])
def test_16_bit_grey_of_other_formats(tmp_path, name):
    values = (np.arange(600, dtype=np.uint16) * 109).reshape(20, 30)
    assert cv2.imwrite(str(tmp_path / name), values)
    np.testing.assert_array_equal(read_image(tmp_path / name), np.dstack([values // 256] * 3))


def test_16_bit_colour_keeps_the_upper_8_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), values // 256)


def test_cmyk_jpeg(tmp_path):
    inks = {"cyan": (255, 0, 0, 0), "red": (0, 255, 255, 0), "black": (0, 0, 0, 255), "white": (0, 0, 0, 0)}
    bgr = {"cyan": (255, 255, 0), "red": (0, 0, 255), "black": (0, 0, 0), "white": (255, 255, 255)}
    for name, ink in inks.items():
        Image.new("CMYK", (16, 16), ink).save(tmp_path / "a.jpg")
        difference = read_image(tmp_path / "a.jpg").astype(int) - bgr[name]
        assert abs(difference).max() <= 3, name


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_tiny_and_elongated(tmp_path, size):
    Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (size[1], size[0], 3)
    assert (image == (30, 20, 10)).all()


# --- what is no picture


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm"])
def test_cut_short(tmp_path, rgb, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(rgb).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=f"cannot read .*a{suffix}: ") as caught:
        read_image(path)
    assert "cut short" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"no picture at all\n" * 99, "is not an image of a known format"), (b"\xff\xd8", "not an im")],
)
def test_no_picture_inside(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_image(tmp_path / "a.jpg")
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_missing(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*gone\.jpg"):
        read_image(tmp_path / "gone.jpg")


def test_folder(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError, ValueError, SyntaxError, EOFError, OSError, RecursionError, struct.error, KeyError]
)
def test_whatever_a_decoder_of_pillow_raises_is_an_input_error(tmp_path, rgb, monkeypatch, error):
    """AVIF's raises RuntimeError, for one."""

    def load(self):
        raise error("Failed to decode frame 0")

    Image.fromarray(rgb).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(InputError, match=r"cannot read .*a\.png: .?Failed to decode frame 0"):
        read_image(tmp_path / "a.png")


def test_memory_that_is_not_there(tmp_path, rgb, monkeypatch):
    def load(self):
        raise MemoryError

    Image.fromarray(rgb).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(InputError, match=r"not enough memory to read .*a\.png") as caught:
        read_image(tmp_path / "a.png")
    assert "--workers" in caught.value.hint


@pytest.mark.parametrize("name", ["a.jpg", "a.eps", "a"])
def test_formats_that_start_programs_are_not_opened(tmp_path, name, monkeypatch):
    """Pillow hands an EPS to Ghostscript."""
    monkeypatch.setattr(subprocess, "Popen", None)
    (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(InputError, match="is not an image of a known format"):
        read_image(tmp_path / name)


def test_every_ending_is_a_format_that_is_read(tmp_path, rgb):
    for suffix in SUFFIXES:
        mode = {".pbm": "1", ".pgm": "L"}.get(suffix, "RGB")
        Image.fromarray(rgb).convert(mode).save(tmp_path / f"a{suffix}")
        assert read_image(tmp_path / f"a{suffix}").shape == rgb.shape


def test_what_is_no_file_is_not_opened(tmp_path):
    """Opening a FIFO would wait for ever."""
    os.mkfifo(tmp_path / "a.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "b.jpg"))
        for path, kind in ((tmp_path / "a.jpg", "a FIFO"), (tmp_path / "b.jpg", "a socket"), ("/dev/zero", "a device")):
            with pytest.raises(InputError, match=f"{path} is {kind}, not a file"):
                read_image(path)
            assert count_frames(Path(path)) == 1


def test_settings_of_pillow_are_put_back(tmp_path, rgb, monkeypatch):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert read_image(tmp_path / "a.png").shape == rgb.shape
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-400])
    with pytest.raises(InputError, match="cannot read"):
        read_image(tmp_path / "a.png")
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (1, True)


def test_tiles_of_a_large_picture_are_where_they_belong(tmp_path):
    large = np.random.default_rng(0).integers(0, 256, (1030, 2100, 3), np.uint8)
    Image.fromarray(large).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), large[..., ::-1])


def test_damaged_exif_is_passed_over_silently(tmp_path, rgb, recwarn):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    block = exif.tobytes()
    Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=block[:-7])
    assert read_image(tmp_path / "a.jpg").size == rgb.size
    assert [str(warning.message) for warning in recwarn] == []


def test_random_damage_gives_a_picture_or_an_input_error(tmp_path, rgb):
    rng = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".webp", ".gif", ".bmp"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(rgb).save(path)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(25):
            damaged = data.copy()
            where = rng.integers(0, min(len(data), rng.choice([64, 400, 5000])), 4)
            damaged[where] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            try:
                image = read_image(path)
            except InputError:
                continue
            assert image.dtype == np.uint8
            assert image.ndim == 3


# --- too large


@pytest.fixture
def no_decoding(monkeypatch):
    def load(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.usefixtures("no_decoding")
def test_huge_header_is_refused_before_decoding(tmp_path):
    path = png_header(tmp_path / "huge.png", 20_000, 20_000)
    with pytest.raises(InputError, match=r"huge\.png is too large: .*limit of 100,000,000 pixels") as caught:
        read_image(path)
    assert "--max-pixels" in caught.value.hint


@pytest.mark.usefixtures("no_decoding")
def test_header_over_the_limit_is_refused_with_its_size(tmp_path, recwarn):
    path = png_header(tmp_path / "large.png", 12_000, 12_000)
    with pytest.raises(InputError, match="has 12000x12000 pixels, the limit is 100,000,000") as caught:
        read_image(path)
    assert "--max-pixels 144000000" in caught.value.hint
    assert not list(recwarn)


def test_limit_can_be_raised_and_then_the_data_counts(tmp_path):
    path = png_header(tmp_path / "huge.png", 20_000, 20_000)
    with pytest.raises(InputError, match=r"cannot read .*truncated"):
        read_image(path, max_pixels=400_000_000)


def test_limit_is_exact_and_can_be_small(tmp_path):
    Image.new("RGB", (11, 9)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="has 11x9 pixels, the limit is 98") as caught:
        read_image(tmp_path / "a.png", max_pixels=98)
    assert "--max-pixels 99," in caught.value.hint
    assert read_image(tmp_path / "a.png", max_pixels=99).shape == (9, 11, 3)
    assert MAX_PIXELS == 100_000_000


# --- arrays


def test_as_image_takes_paths_and_arrays(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), rgb[..., ::-1]):
        np.testing.assert_array_equal(as_image(image), rgb[..., ::-1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 1), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((1, 4, 5, 3), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((4, 5, 3), np.float32),
        np.zeros((4, 5, 3), np.int8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        None,
        17,
        b"a.png",
        [[[0, 0, 0]]],
        Image.new("RGB", (5, 4)),
    ],
    ids=lambda image: "PIL image" if isinstance(image, Image.Image) else repr(image),
)
def test_as_image_refuses_the_rest(image):
    with pytest.raises(InputError, match="an image") as caught:
        as_image(image)
    assert caught.value.hint
