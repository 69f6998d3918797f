"""Reading images: from a path to the BGR pixels that every model's preprocessing takes."""

from __future__ import annotations

import threading
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...errors import InputError
from ...models.regular import special_kind
from .decoding import MAX_PIXELS, check_size
from .png import png_damage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image

# Endings of the files that are looked for, and Pillow's name of the format behind each. Nothing else is decoded,
# whatever a file is called: some of Pillow's other formats start programs, as EPS does with Ghostscript.
_FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".jp2": "JPEG2000",
    ".pbm": "PPM",
    ".pgm": "PPM",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
SUFFIXES = frozenset(_FORMATS)
# Formats whose files may have several pages or frames.
_SEVERAL = frozenset((".apng", ".avif", ".gif", ".png", ".tif", ".tiff", ".webp"))
_TILE = 1024


def read_image(path: str | Path | BinaryIO, max_pixels: int = MAX_PIXELS, name: str | None = None) -> NDArray[np.uint8]:
    """Decode an image.

    EXIF orientation is applied, grey becomes three equal channels, transparency is dropped, 16 bits become the upper 8.

    Args:
        path: A file of one of the formats that `SUFFIXES` are the endings of, whatever its own, or its content.
        max_pixels: Refuse, by its header, an image of more pixels, and one whose decoding takes more memory than so
            many pixels (or 100 megapixels, if that is more) do at 8 bytes each. Most formats take that or less;
            progressive JPEG takes 12, TIFF 13, AVIF 16, WebP 18, JPEG 2000 20, and an image with several frames 24.
        name: What errors call it; None is the path.

    Returns:
        (h, w, 3) uint8, B G R, C-contiguous.

    Raises:
        InputError: Not there, not an image, cut short, or too large.

    """
    with _opened(path, max_pixels, name) as opened:
        _check_whole(opened, path)
        return _upright(opened)


def read_frames(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Decode the pages or frames of a file one after the other; see `read_image`.

    Yields:
        The pixels, and the time at which the frame is shown, in seconds; 0 for pages.

    Raises:
        InputError: As `read_image`, for the frame that is asked for.

    """
    shown_ms = 0.0
    with _opened(path, max_pixels, None) as opened:
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            check_size(str(path), opened, max_pixels)  # a frame may be larger than the first
            if number == 0:
                _check_whole(opened, path)
            duration = float(opened.info.get("duration") or 0)
            yield _upright(opened.copy()), shown_ms / 1000
            shown_ms += duration


def count_frames(path: Path) -> int:
    """Return how many pages or frames a file has by its header; 1 where that cannot be told."""
    if path.suffix.lower() not in _SEVERAL:
        return 1
    with suppress(InputError), _opened(path, MAX_PIXELS, None) as opened:
        return int(getattr(opened, "n_frames", 1))
    return 1


@contextmanager
def _opened(path: str | Path | BinaryIO, max_pixels: int, name: str | None) -> Iterator[Image]:
    """Open an image within the limit, and turn whatever Pillow raises into an InputError, also while it is open."""
    from PIL import Image

    source = Path(path) if isinstance(path, str) else path
    shown = name or str(path)
    _refuse_special(source, shown)
    try:
        with _pillow_settings(max_pixels), Image.open(source, formats=tuple(set(_FORMATS.values()))) as opened:
            check_size(shown, opened, max_pixels)
            yield opened
    except InputError:
        raise
    except Exception as error:  # what a decoder raises depends on the format, and on where the damage is
        raise _reason(error, source, shown, max_pixels) from error


def _refuse_special(source: Path | BinaryIO, shown: str) -> None:
    kind = special_kind(source) if isinstance(source, Path) else None
    if kind is not None:
        raise InputError(f"{shown} is {kind}, not a file", "Write what it gives to a file first.")


def _reason(error: Exception, source: Path | BinaryIO, shown: str, max_pixels: int) -> InputError:
    """Return the error of an image that could not be opened or decoded."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return InputError(f"no such file: {shown}", "Check the path.")
    if isinstance(error, Image.DecompressionBombError):
        # Pillow refuses at twice the limit that it is given, before anyone can ask for the size.
        return InputError(
            f"{shown} is too large: more than twice the limit of {max_pixels:,} pixels",
            "Raise the limit with --max-pixels, or shrink the image.",
        )
    if isinstance(error, UnidentifiedImageError):
        empty = isinstance(source, Path) and source.stat().st_size == 0
        return InputError(
            f"{shown} {'is empty' if empty else 'is not an image of a known format'}", "Convert it to PNG or JPEG."
        )
    if isinstance(error, MemoryError):
        return InputError(f"not enough memory to read {shown}", "Shrink the image, or use fewer --workers.")
    what = str(error) or type(error).__name__
    return InputError(f"cannot read {shown}: {what}", "The file may be cut short; copy it again.")


def _check_whole(opened: Image, source: str | Path | BinaryIO) -> None:
    """Refuse, with a ValueError, pixel data that is cut short in a way that Pillow does not see."""
    if opened.format != "PNG":
        return
    opened.load()
    with ExitStack() as stack:
        stream = stack.enter_context(Path(source).open("rb")) if isinstance(source, str | Path) else source
        damage = png_damage(stream, opened)
    if damage:
        raise ValueError(damage)


_settings = threading.Lock()
_readers: list[ExitStack] = []


@contextmanager
def _pillow_settings(max_pixels: int) -> Iterator[None]:
    """Have Pillow refuse data that is cut short, take images of *max_pixels*, and give no warnings.

    It would warn of sizes, where the limit here is the caller's, and of damaged EXIF data. All of these settings are
    one for all threads, so the first reader keeps those of the program and the last puts them back.
    """
    from PIL import Image, ImageFile

    with _settings:
        first = _readers[0] if _readers else ExitStack()
        if not _readers:
            first.enter_context(warnings.catch_warnings(record=False))
            warnings.simplefilter("ignore")
            first.callback(setattr, ImageFile, "LOAD_TRUNCATED_IMAGES", ImageFile.LOAD_TRUNCATED_IMAGES)
            first.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        Image.MAX_IMAGE_PIXELS = max(max_pixels, Image.MAX_IMAGE_PIXELS or 0)
        _readers.append(first)
    try:
        yield
    finally:
        with _settings:
            _readers.pop()
            if not _readers:
                first.close()


def _upright(opened: Image) -> NDArray[np.uint8]:
    """Return the pixels of an image as its EXIF block wants them turned."""
    from PIL import ImageOps

    ImageOps.exif_transpose(opened, in_place=True)  # a copy of every image would be a tenth of the time
    return _to_bgr(opened)


def _to_bgr(decoded: Image) -> NDArray[np.uint8]:
    """Convert tile by tile: what a conversion needs besides its result then is that of a tile, not of the image."""
    width, height = decoded.size
    if max(width, height) <= _TILE:
        return _convert(decoded)
    bgr = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            right, bottom = min(left + _TILE, width), min(top + _TILE, height)
            bgr[top:bottom, left:right] = _convert(decoded.crop((left, top, right, bottom)))
    return bgr


def _convert(decoded: Image) -> NDArray[np.uint8]:
    if decoded.mode.startswith("I;16") or decoded.mode == "I":
        grey = (np.asarray(decoded).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    import cv2

    rgb = decoded if decoded.mode == "RGB" else decoded.convert("RGB")
    return np.asarray(cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR), np.uint8)


def as_image(image: object) -> NDArray[np.uint8]:
    """Return *image* as (h, w, 3) uint8 BGR pixels, reading it if it is a path.

    Raises:
        InputError: It is neither a path nor such an array.

    """
    if isinstance(image, str | Path):
        return read_image(image)
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"an image is a path or a numpy array, not a {type(image).__name__}", "Pass BGR uint8 (h, w, 3)."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:  # noqa: PLR2004
        raise InputError(
            f"an image array is uint8 of shape (h, w, 3) in BGR order, not {image.dtype} {image.shape}",
            "Convert it, for example with cv2.cvtColor.",
        )
    return image
