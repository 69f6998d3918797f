"""Inputs that drive a network: its inner values go where no drawn image takes them, and beyond photographs.

A file whose activations are clipped or rounded somewhere computes the same as its network as long as nothing reaches
that place. So besides images a network gets inputs that are out of their range, flat ones, at which variances vanish
(an image has its padding), and one that a search has found: it climbs the gradient of the logarithms of the largest and
the smallest value of every layer at once.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ...models.lazy import import_torch
from .kept import key_of, read, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from ...runtimes.backends.base import Array

# An input times these: far out on both sides, where a correct file still has its usual rounding.
FACTORS = (3.0, -2.0)
# Held-out photographs went beyond at 2.5 % of a trained network's layers at most; without inertia at 4.7 %, with half
# the steps at 8.7 %. A step is 3 % of the range from black to white.
_STEPS, _STEP, _INERTIA = 20, 0.03, 0.7
# A few strong pixels must not take it all.
_STEEPEST = 3.0
_SMALLEST = 1e-6
# Another search is another version: what was found by the last one is not taken for it.
_VERSION = 3


def driven_inputs(fused: Callable[[], nn.Module], key: str, start: Array, low: float, high: float) -> dict[str, Array]:
    """Return inputs that no image gives.

    Args:
        fused: Makes the network as it is exported, with fewer inner values; called where it has to be searched.
        key: A name for it, from `network_key`.
        start: (1, 3, H, W) float32 network input to begin with.
        low: The smallest value that an image gives.
        high: The largest.

    Returns:
        (N, 3, H, W) float32 by name: what the search found, the start times each of `FACTORS`, and flat ones.

    """
    return {
        "searched": _cached_search(fused, key, start, low, high),
        "out of range": np.concatenate([start * np.float32(factor) for factor in FACTORS]),
        "flat": np.concatenate([np.full_like(start, value) for value in (low, high)]),
    }


def _cached_search(fused: Callable[[], nn.Module], key: str, start: Array, low: float, high: float) -> Array:
    """Return what the search finds, as it was found before where it was."""
    name = key_of(f"{_VERSION} {key} {low} {high}", arrays=[start]) + ".npy"
    with suppress(ValueError, EOFError):
        kept = np.load(io.BytesIO(read(name) or b""), allow_pickle=False)
        if kept.shape == start.shape and kept.dtype == np.float32 and low <= kept.min() <= kept.max() <= high:
            return np.asarray(kept, np.float32)
    found = search(fused(), start, low, high)
    content = io.BytesIO()
    np.save(content, found, allow_pickle=False)
    write(name, content.getvalue())
    return found


def search(network: nn.Module, start: Array, low: float, high: float) -> Array:
    """Return an input that pushes the inner ranges of a network out; deterministic up to rounding.

    Args:
        network: In eval mode, float32.
        start: (1, 3, H, W) float32 to begin with.
        low: Smallest value of the result.
        high: Largest value of the result.

    """
    torch = import_torch()
    extremes: list[Tensor] = []

    def collect(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            # By index: the next layer may work in place, and the gradient must not need what it overwrites.
            flat = output.reshape(-1)
            extremes.extend((flat[flat.argmax()], -flat[flat.argmin()]))

    leaves = [module for module in network.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(collect) for module in leaves]
    try:
        x = torch.from_numpy(start.copy())
        direction = torch.zeros_like(x)
        for _ in range(_STEPS):
            extremes.clear()
            x.requires_grad_(True)
            network(x)
            reached = torch.stack(extremes)
            (slope,) = torch.autograd.grad(reached[reached > _SMALLEST].log().sum(), x)
            slope = slope.nan_to_num()  # weights that are no numbers are for the comparisons to find
            direction = _INERTIA * direction + (1 - _INERTIA) * _scaled(slope)
            x = (x.detach() + _STEP * (high - low) * _scaled(direction).clamp(-_STEEPEST, _STEEPEST)).clamp(low, high)
    finally:
        for hook in hooks:
            hook.remove()
    return np.asarray(x.numpy(), np.float32)


def _scaled(slope: Tensor) -> Tensor:
    """Return a slope whose values are one on average."""
    return slope / slope.abs().mean().clamp(min=1e-30)
