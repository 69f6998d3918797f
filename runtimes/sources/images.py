"""Reading images: from a path to the BGR pixels that every model's preprocessing takes."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image

SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

# Formats whose files may have several pages or frames.
_SEVERAL = frozenset((".apng", ".avif", ".gif", ".png", ".tif", ".tiff", ".webp"))
# An image of 100 megapixels takes 300 MB decoded; what is larger is more often an attack or an accident.
MAX_PIXELS = 100_000_000


def read_image(path: str | Path | BinaryIO, max_pixels: int = MAX_PIXELS, name: str | None = None) -> NDArray[np.uint8]:
    """Decode an image.

    EXIF orientation is applied, grey becomes three equal channels, transparency is dropped, 16 bits become the upper 8.

    Args:
        path: A file of any format that Pillow reads, or its content.
        max_pixels: Refuse an image of more pixels, by its header, before it is decoded.
        name: What errors call it; None is the path.

    Returns:
        (h, w, 3) uint8, B G R, C-contiguous.

    Raises:
        InputError: Not there, not an image, cut short, or too large.

    """
    with _opened(path, max_pixels, name) as opened:
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
            _check_size(str(path), opened.width, opened.height, max_pixels)
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
    """Open an image of no more pixels, and turn what Pillow raises into an InputError, also while it is open."""
    from PIL import Image, UnidentifiedImageError

    source = Path(path) if isinstance(path, str) else path
    shown = name or str(path)
    try:
        with _without_warnings():
            Image.MAX_IMAGE_PIXELS = max(max_pixels, MAX_PIXELS)
            with Image.open(source) as opened:
                _check_size(shown, opened.width, opened.height, max_pixels)
                yield opened
    except FileNotFoundError as error:
        raise InputError(f"no such file: {shown}", "Check the path.") from error
    except Image.DecompressionBombError as error:
        # Pillow refuses at twice the limit that it is given, before anyone can ask for the size.
        raise InputError(
            f"{shown} is too large: more than twice the limit of {max_pixels:,} pixels",
            "Raise the limit with --max-pixels, or shrink the image.",
        ) from error
    except UnidentifiedImageError as error:
        empty = isinstance(source, Path) and source.stat().st_size == 0
        what = "is empty" if empty else "is not an image of a known format"
        raise InputError(f"{shown} {what}", "Convert it to PNG or JPEG.") from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        # Pillow reports damaged data with any of these, depending on the format.
        raise InputError(f"cannot read {shown}: {error}", "The file may be cut short; copy it again.") from error


_quiet = threading.Lock()
_readers: list[warnings.catch_warnings[None]] = []


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings: of a size, where the limit here is the caller's, and of damaged EXIF data.

    Filters of warnings are one for all threads, so the first reader sets them and the last puts them back.
    """
    with _quiet:
        if not _readers:
            first = warnings.catch_warnings(record=False)
            first.__enter__()
            warnings.simplefilter("ignore")
        else:
            first = _readers[0]
        _readers.append(first)
    try:
        yield
    finally:
        with _quiet:
            _readers.pop()
            if not _readers:
                first.__exit__(None, None, None)


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f"{name} has {width}x{height} pixels, the limit is {max_pixels:,}",
            f"Raise the limit with --max-pixels {width * height}, or shrink the image.",
        )


def _upright(opened: Image) -> NDArray[np.uint8]:
    """Return the pixels of an image as its EXIF block wants them turned."""
    from PIL import ImageOps

    ImageOps.exif_transpose(opened, in_place=True)  # a copy of every image would be a tenth of the time
    return _to_bgr(opened)


def _to_bgr(decoded: Image) -> NDArray[np.uint8]:
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
