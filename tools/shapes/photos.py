"""Photographs that serve as backgrounds and textures, from the files that scikit-image brings along.

Only those are named here whose licence lets anyone use them, as `skimage.data` states it, and which show nothing that
looks like one of the classes (coins, a clock and the disc of a retina do).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvport import read_image

# File, licence, who made it; see the docstrings of skimage.data.
TRAINING = {
    "brick.png": "CC0, CC0Textures",
    "grass.png": "CC0, linolafett at OpenGameArt",
    "gravel.png": "CC0, CC0Textures",
    "chelsea.png": "CC0, Stefan van der Walt",
    "coffee.png": "CC0, Rachel Michetti",
    "hubble_deep_field.jpg": "public domain, NASA",
    "ihc.png": "no known copyright restrictions, immunohistochemistry",
    "text.png": "public domain",
}
# Never seen in training: what the weights are scored on, and the photograph of the demo.
HELD_OUT = {
    "astronaut.png": "public domain, NASA",
    "camera.png": "CC0, Lav Varshney",
    "rocket.jpg": "public domain, SpaceX",
}


@cache
def read_photo(name: str) -> NDArray[np.uint8]:
    """Return a photograph of scikit-image as (h, w, 3) uint8, B G R."""
    import skimage

    return read_image(Path(skimage.__file__).parent / "data" / name)
