"""Text as pixels: which font can write it, how large it gets, its coverage."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

# No font has this character: what a font draws for it, it draws for every character that it lacks.
_NO_CHARACTER = "\U0010ffff"
# Size at which fonts are asked for their characters; any size gives the same answer.
_ASKED = 12


class Extent(NamedTuple):
    """The pixels that a text fills, relative to the place that it is written at; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top


@lru_cache(maxsize=1)
def chinese_font() -> Path | None:
    """Return the font file (Noto Sans SC, SIL Open Font License) that the package zhplot brings, if it is installed."""
    package = importlib.util.find_spec("zhplot")  # found, not imported: that would load matplotlib
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "fonts" / "NotoSansSC-Regular.ttf"
    return path if path.is_file() else None


def can_write(text: str) -> bool:
    """Tell whether a font of this machine has every character of *text*."""
    path = chinese_font()
    return _has(None, text) or (path is not None and _has(path, text))


def extent(text: str, size: int) -> Extent:
    """Return the pixels that one line of text fills at this font size."""
    return _extent(_family(text, chinese_font()), text, size)


def coverage(text: str, size: int, rim: int = 0) -> NDArray[np.uint8]:
    """Return how much of each pixel a text covers.

    Args:
        text: One line.
        size: Font size in pixels.
        rim: Pixels by which letters grow on all sides.

    Returns:
        (h, w) uint8, 0 to 255, read-only: the `extent` of the text, *rim* pixels larger on each side.

    """
    return _coverage(_family(text, chinese_font()), text, size, rim)


def _family(text: str, chinese: Path | None) -> Path | None:
    """Return the font file to write *text* with; None is Pillow's own font."""
    return chinese if chinese is not None and not _has(None, text) else None


@lru_cache(maxsize=256)
def _font(family: Path | None, size: int) -> Font:
    return ImageFont.load_default(size) if family is None else ImageFont.truetype(family, size)


@lru_cache(maxsize=4096)
def _has(family: Path | None, text: str) -> bool:
    """Tell whether a font has every character of *text*: those that it lacks all look alike."""
    lacking = _shape(family, _NO_CHARACTER)
    return all(character.isspace() or _shape(family, character) != lacking for character in set(text))


@lru_cache(maxsize=4096)
def _shape(family: Path | None, character: str) -> bytes:
    return bytes(_font(family, _ASKED).getmask(character))


@lru_cache(maxsize=4096)
def _extent(family: Path | None, text: str, size: int) -> Extent:
    left, top, right, bottom = _font(family, size).getbbox(text)
    return Extent(int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom)))


@lru_cache(maxsize=1024)
def _coverage(family: Path | None, text: str, size: int, rim: int) -> NDArray[np.uint8]:
    left, top, right, bottom = _extent(family, text, size)
    image = Image.new("L", (max(right - left, 0) + 2 * rim, max(bottom - top, 0) + 2 * rim))
    place = (rim - left, rim - top)
    ImageDraw.Draw(image).text(place, text, fill=255, font=_font(family, size), stroke_width=rim)
    pixels = np.array(image, np.uint8)
    pixels.flags.writeable = False
    return pixels
