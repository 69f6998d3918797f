"""Where the ground truth is: what the original implementations compute, trained weights, photographs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# A folder called shared beside the checkout, or what CVPORT_SHARED names.
SHARED = Path(os.environ.get("CVPORT_SHARED") or Path(__file__).resolve().parents[3] / "shared")


def ground_truth(name: str = "") -> Path:
    """Return the path of a file or folder of the ground truth; skip the test where it is not."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the ground truth is not here: {path} (CVPORT_SHARED names the folder)")
    return path
