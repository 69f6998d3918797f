"""Reading images: from a path to the BGR pixels that every model's preprocessing takes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

# An image of 100 megapixels takes 300 MB decoded; what is larger is more often an attack or an accident.
MAX_PIXELS = 100_000_000


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image.

    EXIF orientation is applied, grey becomes three equal channels, transparency is dropped, 16 bits become the upper 8.

    Args:
        path: A file of any format that Pillow reads.
        max_pixels: Refuse an image of more pixels, by its header, before it is decoded.

    Returns:
        (h, w, 3) uint8, B G R, C-contiguous.

    Raises:
        InputError: Not there, not an image, cut short, or too large.

    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns at a size of its own, where the limit here is the caller's, and of damaged EXIF data.
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = max(max_pixels, MAX_PIXELS)
            with Image.open(path) as opened:
                _check_size(path, opened.width, opened.height, max_pixels)
                return _to_bgr(ImageOps.exif_transpose(opened))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "Check the path.") from error
    except Image.DecompressionBombError as error:
        # Pillow refuses at twice the limit that it is given, before anyone can ask for the size.
        raise InputError(
            f"{path} is too large: more than twice the limit of {max_pixels:,} pixels",
            "Raise the limit with --max-pixels, or shrink the image.",
        ) from error
    except UnidentifiedImageError as error:
        what = "is empty" if path.stat().st_size == 0 else "is not an image of a known format"
        raise InputError(f"{path} {what}", "Convert it to PNG or JPEG.") from error
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        # Pillow reports damaged data with any of these, depending on the format.
        raise InputError(f"cannot read {path}: {error}", "The file may be cut short; copy it again.") from error


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InputError(
            f"{path} has {width}x{height} pixels, the limit is {max_pixels:,}",
            f"Raise the limit with --max-pixels {width * height}, or shrink the image.",
        )


def _to_bgr(decoded: Image) -> NDArray[np.uint8]:
    if decoded.mode.startswith("I;16") or decoded.mode == "I":
        grey = (np.asarray(decoded).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    import cv2

    return np.asarray(cv2.cvtColor(np.asarray(decoded.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)


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
