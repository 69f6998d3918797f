"""Image intake: the bytes of files of every format, whole, damaged and hostile."""

from __future__ import annotations

import io
from functools import cache
from itertools import islice

import numpy as np
from PIL import Image, features

from cvport.errors import InputError
from cvport.runtimes.sources.images import read_frames, read_image
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_bytes

_MOST_PIXELS = 1_000_000
_MOST_FRAMES = 8


def run(data: bytes) -> None:
    """Read a file as one image and as frames."""
    image = read_image(io.BytesIO(data), _MOST_PIXELS, "some.png")
    _check(image)
    for number, (frame, seconds) in enumerate(islice(read_frames(io.BytesIO(data), _MOST_PIXELS), _MOST_FRAMES)):
        _check(frame)
        if not seconds >= 0:
            raise SilentChangeError(f"a frame at {seconds} s")
        if number == 0 and not np.array_equal(frame, image):
            raise SilentChangeError("the first frame is not the image")


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise SilentChangeError(f"an image of {image.dtype} {image.shape}")
    if not image.flags.c_contiguous or image.shape[0] * image.shape[1] > _MOST_PIXELS:
        raise SilentChangeError(f"an image of {image.shape}")


@cache
def seeds() -> list[bytes]:
    """A small image in every format and mode."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    rgb = Image.fromarray(pixels)
    found = [_saved(rgb.convert(mode), "PNG") for mode in ("RGB", "L", "LA", "RGBA", "P", "1")]
    found += [_saved(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG")]
    exif = Image.Exif()
    exif[0x0112] = 6
    found += [_saved(rgb.convert(mode), "JPEG", exif=exif) for mode in ("RGB", "L", "CMYK")]
    found += [_saved(rgb, "JPEG", progressive=True), _saved(rgb, "BMP"), _saved(rgb.convert("P"), "BMP")]
    others = [rgb.rotate(90 * i) for i in range(3)]
    several = {"save_all": True, "append_images": others, "duration": 40}
    found += [_saved(rgb, "GIF", **several), _saved(rgb, "PNG", **several), _saved(rgb, "PPM"), _saved(rgb, "TIFF")]
    pages = {"save_all": True, "append_images": others}
    found += [_saved(rgb, "TIFF", compression=name, **pages) for name in ("tiff_lzw", "tiff_adobe_deflate")]
    found += [_saved(rgb.convert(mode), "TIFF", compression="packbits") for mode in ("1", "CMYK", "I;16")]
    if features.check("webp"):
        found += [_saved(rgb, "WEBP"), _saved(rgb, "WEBP", lossless=True), _saved(rgb, "WEBP", **several)]
    if features.check("jpg_2000"):
        found += [_saved(rgb, "JPEG2000")]
    return found


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


TARGET = Target(seeds, run, mutate_bytes, (InputError.exit_code,))
