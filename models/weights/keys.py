"""Keys of checkpoints: which tensors inference needs, and what keys and shapes tell about a network's structure.

Where several tensors tell the same thing the majority decides, so that a checkpoint with a few missing or misshapen
tensors still gets its structure, and strict loading can say which ones they are.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    StateDict = Mapping[str, Tensor | NDArray[Any]]

Shapes = Mapping[str, Sequence[int]]
T = TypeVar("T")

_log = logging.getLogger(__name__)

_SHOWN = 3


def _no_constants(_shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    return {}


@dataclass(frozen=True)
class KeyRules:
    """The relation of the keys of a model's checkpoints to those of its network.

    Attributes:
        training_only: Regular expression for the beginning of keys that inference does not need; None: it needs all.
        rename: Returns the network's key of a checkpoint's key; None: they are the same.
        constants: Returns the tensors that are the same in all trained networks of given shapes. A checkpoint may leave
            them out, and must not hold others.
        constants_are: Description of the constants, for messages.

    """

    training_only: str | None = None
    rename: Callable[[str], str] | None = None
    constants: Callable[[Shapes], Mapping[str, NDArray[np.float32]]] = _no_constants
    constants_are: str = "constants"


def shapes_of(state: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by its key; () for what is no tensor."""
    return {key: tuple(getattr(value, "shape", ())) for key, value in state.items()}


def inference_state(state: StateDict, rules: KeyRules) -> StateDict:
    """Return what inference needs of a state dict, by the network's own keys.

    Args:
        state: Tensors or arrays by key, wrapper prefixes removed.
        rules: The model's.

    Raises:
        WeightsError: A tensor is there under two keys, or a constant has other values.

    """
    kept = _without_training(state, rules)
    for key, expected in rules.constants(shapes_of(kept)).items():
        stored: Any = kept.setdefault(key, expected)
        # A tensor of another shape is left to strict loading, which refuses it.
        if tuple(getattr(stored, "shape", ())) != expected.shape or stored is expected:
            continue
        if [float(number) for number in stored.flatten()] != expected.ravel().tolist():
            raise WeightsError(f"{key} does not hold {rules.constants_are}", "Check that the file is not damaged.")
    return kept


def _without_training(state: StateDict, rules: KeyRules) -> dict[str, Any]:
    """Return the tensors that are not for training only, by the network's own keys."""
    used = [key for key in state if not (rules.training_only and re.match(rules.training_only, key))]
    if dropped := len(state) - len(used):
        _log.info("left out %d tensors that only training needs", dropped)
    sources: dict[str, str] = {}
    for key in used:
        name = rules.rename(key) if rules.rename else key
        if name in sources:
            twice = " and ".join(sorted((key, sources[name]), key=lambda it: it == name))
            raise WeightsError(
                f"these weights hold the same tensor twice: {twice}",
                "Save the network's own state dict again, without the copies.",
            )
        sources[name] = key
    return {name: state[key] for name, key in sources.items()}


def matches(shapes: Shapes, pattern: str) -> Iterator[tuple[re.Match[str], Sequence[int]]]:
    """Yield the match and the shape of every key that starts with *pattern*."""
    compiled = re.compile(pattern)
    for key, shape in shapes.items():
        if match := compiled.match(key):
            yield match, shape


def has(shapes: Shapes, pattern: str) -> bool:
    """Return whether a key starts with *pattern*."""
    return any(True for _ in matches(shapes, pattern))


def named(shapes: Shapes, pattern: str) -> Iterator[str]:
    """Yield the first group of every match."""
    return (match[1] for match, _ in matches(shapes, pattern))


def vote(values: Iterable[T]) -> T | None:
    """Return the most frequent value, the first of equals, None if there is none."""
    ranked = Counter(values).most_common(1)
    return ranked[0][0] if ranked else None


def count(shapes: Shapes, prefix: str) -> int:
    """Return the number of indexed children of *prefix* (largest index + 1), at least 1; indices have 1 or 2 digits."""
    return 1 + max((int(match["index"]) for match, _ in matches(shapes, rf"{prefix}\.(?P<index>\d\d?)\.")), default=0)


def sizes(shapes: Shapes, pattern: str, axis: int) -> Iterator[int]:
    """Yield the size along *axis* of every key that starts with *pattern*, where there is such an axis."""
    return (shape[axis] for _, shape in matches(shapes, pattern) if len(shape) > axis and shape[axis] > 0)


def common_size(shapes: Shapes, pattern: str, axis: int) -> int:
    """Return the most frequent of `sizes`; 1 if no key is left, which strict loading will then list."""
    return vote(sizes(shapes, pattern, axis)) or 1


def sample(shapes: Shapes) -> str:
    """Return the first few keys, for a message."""
    keys = list(shapes)
    return ", ".join(keys[:_SHOWN]) + (" ..." if len(keys) > _SHOWN else "") if keys else "none at all"
