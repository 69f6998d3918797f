"""Weights, as tests compare them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def digest(state: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of weights: of their keys, dtypes, shapes and bytes."""
    sha = hashlib.sha256()
    for key in sorted(state):
        sha.update(f"{key}{state[key].dtype}{state[key].shape}".encode())
        sha.update(state[key].tobytes())
    return sha.hexdigest()
