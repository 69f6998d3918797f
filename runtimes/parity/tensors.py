"""Statistics of how two tensors differ. Figures only: no limit is known here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorStats:
    """How a tensor differs from its reference.

    Attributes:
        max_abs: Largest absolute difference.
        mean_abs: Mean absolute difference.
        p999_abs: 99.9th percentile of the absolute difference.
        max_rel: Largest absolute difference over the reference's largest magnitude.
        cosine: Cosine of the angle between the two as vectors.
        finite: Whether both hold finite values only; all other figures are NaN if not.
        rms: Root mean square of the difference; NaN in records that did not measure it.

    """

    max_abs: float
    mean_abs: float
    p999_abs: float
    max_rel: float
    cosine: float
    finite: bool
    rms: float = math.nan

    @property
    def largest(self) -> float:
        """The reference's largest magnitude, as far as the figures tell it; 0 where nothing differs."""
        return self.max_abs / self.max_rel if self.max_rel else 0.0


def measure_tensor(reference: NDArray[np.floating], candidate: NDArray[np.floating]) -> TensorStats:
    """Compare two arrays of one shape; computed in float64.

    Raises:
        ValueError: The shapes differ.

    """
    if reference.shape != candidate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {candidate.shape}")
    a, b = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        nan = float("nan")
        return TensorStats(nan, nan, nan, nan, nan, finite=False)
    difference = np.abs(a - b)
    largest = float(np.abs(a).max())
    return TensorStats(
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        p999_abs=float(np.quantile(difference, 0.999)),
        max_rel=float(difference.max()) / largest if largest else float(difference.max() > 0),
        cosine=cosine(a, b),
        finite=True,
        rms=float(np.sqrt(np.square(difference).mean())),
    )


def error_histogram(reference: NDArray[np.floating], candidate: NDArray[np.floating]) -> dict[str, int]:
    """Return how many values differ by how much: counts by power of two.

    Returns:
        Under "-20" the number of values whose absolute difference is at least 2^-21 and below 2^-20, and so on, under
        "equal" those that do not differ, under "nan" those of which one is no finite number.

    """
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(reference.astype(np.float64).ravel() - candidate.astype(np.float64).ravel())
    finite = np.isfinite(difference)
    present = difference[finite & (difference > 0)]
    exponents, counts = np.unique(np.frexp(present)[1], return_counts=True)
    found = {"nan": int((~finite).sum()), "equal": int((difference == 0).sum())}
    found |= {str(exponent): int(count) for exponent, count in zip(exponents, counts, strict=True)}
    return {name: count for name, count in found.items() if count}


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the cosine of the angle between two vectors; 1 for two equal vectors of length 0."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else float(not (a - b).any())
