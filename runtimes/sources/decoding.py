"""What decoding an image takes in memory, by its header alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

# An image of more pixels is more often an attack or an accident.
MAX_PIXELS = 100_000_000
# Bytes for each pixel at the peak of reading, the (h, w, 3) result among them: how much the resident memory grew while
# images of 16 megapixels were read, rounded up. The ordinary formats took 5 to 8.
BYTES_PER_PIXEL = 8
# Decoders that hold planes, strips or a canvas of their own beside Pillow's image.
_DEARER = {"AVIF": 16, "JPEG2000": 20, "TIFF": 13, "WEBP": 18}
_PROGRESSIVE = 12  # libjpeg keeps all coefficients, 2 bytes for each sample
_SEVERAL_FRAMES = 24  # the canvas, the one before it, and a copy
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF 6.0, section 15


def check_size(name: str, opened: Image, max_pixels: int) -> None:
    """Refuse an image of too many pixels, or one whose decoding takes too much memory.

    Args:
        name: What the error calls it.
        opened: The image, of which only the header was read.
        max_pixels: The largest number of pixels. So many of them, or 100 megapixels if that is more, at
            `BYTES_PER_PIXEL` bytes each are the most that decoding may take.

    Raises:
        InputError: It is too large.

    """
    size = f"{name} has {opened.width}x{opened.height} pixels"
    if opened.width * opened.height > max_pixels:
        raise _too_large(f"{size}, the limit is {max_pixels:,}", opened.width * opened.height)
    needed = _bytes_needed(opened)
    limit = BYTES_PER_PIXEL * max(max_pixels, MAX_PIXELS)
    if needed > limit:
        takes = f"which take {needed / 1e6:,.0f} MB to decode, the limit is {limit / 1e6:,.0f} MB"
        raise _too_large(f"{size} of {opened.format}, {takes}", -(-needed // BYTES_PER_PIXEL))


def _too_large(reason: str, pixels: int) -> InputError:
    return InputError(reason, f"Raise the limit with --max-pixels {pixels}, or shrink the image.")


def _bytes_needed(opened: Image) -> int:
    pixels = opened.width * opened.height
    if opened.format == "TIFF":
        # A tile is decoded whole, also where it is larger than the image.
        tags = opened.tag_v2  # type: ignore[attr-defined]
        pixels = max(pixels, int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0)))
    each = _DEARER.get(opened.format or "", BYTES_PER_PIXEL)
    if getattr(opened, "is_animated", False):
        each = _SEVERAL_FRAMES
    elif opened.format == "JPEG" and opened.info.get("progressive"):
        each = _PROGRESSIVE
    return pixels * each
