"""Images that a comparison is made on: drawn by formula, the same everywhere, or the user's own.

What a gate can see is bounded by what its images make a network do. So there are soft and hard ones, flat ones, at
which variances vanish, and extreme ones; `exporters.gate.drive` adds inputs that no image gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from ...runtimes.job import Region
from ...runtimes.sources.files import find_images
from ...runtimes.sources.images import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


# Of the landscape: within it, and reaching out of it.
_FACE_BOXES = ((150.5, 90.0, 420.0, 400.25), (-60.0, 200.0, 180.0, 510.0))


class Case(NamedTuple):
    """Images, or parts of them, that go through a network together, as one batch."""

    name: str
    regions: list[Region]


def built_in_cases(batch: str | int, *, boxes: bool = False) -> list[Case]:
    """Return the built-in probes, in batches of 1, 3 and 4.

    Args:
        batch: "dynamic", or the one batch size that the file takes; then every case has that many images.
        boxes: Whether boxes in an image are probed too, as one more batch.

    """
    images = _images()
    whole = [Region(image) for image in images.values()]
    boxed = [Region(images["landscape"], box) for box in _FACE_BOXES] if boxes else []
    if batch == "dynamic":
        names = list(images)
        cases = [Case(", ".join(names[part]), whole[part]) for part in (slice(1), slice(1, 4), slice(4, None))]
        return [*cases, Case("faces", boxed)] if boxes else cases
    size = int(batch)
    everything = whole + boxed
    chunks = [everything[i : i + size] for i in range(0, len(everything), size)]
    return [Case(f"built-in {i}", (chunk * size)[:size]) for i, chunk in enumerate(chunks, 1)]


def _images() -> dict[str, NDArray[np.uint8]]:
    """Return the built-in images by name."""
    return {
        "landscape": scene(480, 640, seed=1),
        "portrait": scene(640, 427, seed=2),
        "tiny": scene(61, 97, seed=3),
        "noise": np.random.default_rng(4).integers(0, 256, (416, 416, 3), dtype=np.uint8),
        "black": np.zeros((480, 640, 3), dtype=np.uint8),
        "test card": test_card(480, 640),
        "dark": np.random.default_rng(5).integers(0, 12, (480, 640, 3), dtype=np.uint8),
        "natural": natural(480, 640, seed=6),
    }


def test_card(height: int, width: int) -> NDArray[np.uint8]:
    """Draw the hardest edges that there are: a black and a white half, one white pixel, checks of 1 and 16 pixels.

    Returns:
        (height, width, 3) uint8, B G R.

    """
    rows, columns = np.indices((height, width))
    image = np.where(columns < width // 2, 0, 255)
    image[height // 4, width // 4] = 255
    fine, coarse = (rows + columns) % 2, (rows // 16 + columns // 16) % 2
    lower = rows >= height // 2
    image[lower] = 255 * np.where(columns < width // 2, fine, coarse)[lower]
    card: NDArray[np.uint8] = np.repeat(image[..., None], 3, axis=2).astype(np.uint8)
    return card


def natural(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Draw noise with the statistics of photographs: as much contrast in each octave, mostly shared by the colours.

    The amplitude of a photograph falls as the frequency (Field 1987, https://doi.org/10.1364/JOSAA.4.002379).

    Returns:
        (height, width, 3) uint8, B G R.

    """
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for octave in range(1, int(np.log2(min(height, width))) + 1):
        grid = (2**octave, max(2, 2**octave * width // height))
        light = rng.standard_normal((*grid, 1), dtype=np.float32)
        colour = rng.standard_normal((*grid, 3), dtype=np.float32)
        image += cv2.resize(light + 0.3 * colour, (width, height), interpolation=cv2.INTER_CUBIC)
    picture: NDArray[np.uint8] = np.clip(128 + 64 * image / image.std(), 0, 255).astype(np.uint8)
    return picture


def folder_cases(folder: Path, batch: str | int) -> list[Case]:
    """Return the images of a folder, one per case.

    Raises:
        InputError: The folder has no images, or one cannot be read.

    """
    paths, errors = find_images([str(folder)])
    for _, error in errors:
        raise error
    repeat = 1 if batch == "dynamic" else int(batch)
    return [Case(path.name, [Region(read_image(path))] * repeat) for path in paths]


def scene(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Draw an image with what networks react to: soft light, texture, hard-edged shapes of many sizes, fine lines.

    Args:
        height: In pixels.
        width: In pixels.
        seed: Another seed is another image.

    Returns:
        (height, width, 3) uint8, B G R.

    """
    rng = np.random.default_rng(seed)
    light = rng.uniform(40, 200, (5, 6, 3)).astype(np.float32)
    image = np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    image += 6 * rng.standard_normal(image.shape, dtype=np.float32)
    for _ in range(24):
        _add_shape(image, rng)
    return np.clip(image, 0, 255).astype(np.uint8)


def _add_shape(image: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Paint a turned rectangle or ellipse, plain or striped, into the image."""
    height, width = image.shape[:2]
    radius = min(height, width) * rng.uniform(0.02, 0.25)
    middle_y, middle_x = rng.uniform(0, height), rng.uniform(0, width)
    turn, flatness, frequency = rng.uniform(0, np.pi), rng.uniform(1, 4), rng.uniform(4, 25)
    rectangle, striped = rng.random() < 0.5, rng.random() < 0.4  # noqa: PLR2004
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    reach = radius * np.sqrt(2)
    top, left = max(int(middle_y - reach), 0), max(int(middle_x - reach), 0)
    window = image[top : int(middle_y + reach) + 1, left : int(middle_x + reach) + 1]
    rows, columns = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
    y, x = (rows - middle_y) / radius, (columns - middle_x) / radius
    along, across = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) * flatness
    inside = (np.maximum(abs(along), abs(across)) if rectangle else np.hypot(along, across)) < 1
    shade = 1 + 0.4 * np.sign(np.sin(along * frequency)) if striped else np.ones_like(along)
    window[inside] = colour * shade[inside, None]


def all_cases(folders: Sequence[Path], batch: str | int, *, boxes: bool = False) -> list[Case]:
    """Return the built-in probes, then the images of the folders."""
    cases = built_in_cases(batch, boxes=boxes)
    for folder in folders:
        cases += folder_cases(folder, batch)
    return cases
