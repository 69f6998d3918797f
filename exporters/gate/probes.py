"""Images that a comparison is made on: drawn by formula, the same everywhere, or the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from ...runtimes.predictor import Region
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
    """Return the built-in probes: landscape, portrait, tiny and noise; in batches of 1 and 3.

    Args:
        batch: "dynamic", or the one batch size that the file takes; then every case has that many images.
        boxes: Whether boxes in an image are probed too, as one more batch.

    """
    images = [scene(480, 640, seed=1), scene(640, 427, seed=2), scene(61, 97, seed=3)]
    images.append(np.random.default_rng(4).integers(0, 256, (416, 416, 3), dtype=np.uint8))
    whole = [Region(image) for image in images]
    boxed = [Region(images[0], box) for box in _FACE_BOXES] if boxes else []
    if batch == "dynamic":
        cases = [Case("landscape", whole[:1]), Case("portrait, tiny, noise", whole[1:])]
        return [*cases, Case("faces", boxed)] if boxes else cases
    size = int(batch)
    everything = whole + boxed
    chunks = [everything[i : i + size] for i in range(0, len(everything), size)]
    return [Case(f"built-in {i}", (chunk * size)[:size]) for i, chunk in enumerate(chunks, 1)]


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
