"""From a network class and its structure to a network with its weights, trained or untrained, once for all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .keys import KeyRules
from .loading import build_strict
from .seeding import Recipe, seeded_tensors


class Titled(Protocol):
    """A network's structure."""

    @property
    def title(self) -> str:
        """The structure in a few words."""


def build_network(
    network: Callable[[Any], nn.Module], state: Mapping[str, Tensor | NDArray[Any]], variant: Titled
) -> nn.Module:
    """Build the network of a variant and load it strictly.

    Args:
        network: The model's network class; its constructor takes the variant.
        state: Tensors or arrays by the network's own keys.
        variant: The network's structure.

    Returns:
        The network in eval mode, without gradients, as trained (nothing fused).

    Raises:
        WeightsError: There is no such network, or keys are missing, unexpected or misshapen.

    """
    return build_strict(lambda: network(variant), state, variant.title)


def seeded_state(
    network: Callable[[Any], nn.Module], variant: Titled, recipe: Recipe, rules: KeyRules, seed: int
) -> dict[str, NDArray[Any]]:
    """Return the untrained weights of a variant.

    Args:
        network: The model's network class; its constructor takes the variant.
        variant: The network's structure.
        recipe: The numbers of the model's tensors.
        rules: Tells the tensors that are the same in all trained networks, and here too.
        seed: Each tensor depends on this, its key, its shape and the recipe alone.

    Returns:
        Arrays by key, float32 but for the integer counters, in the order of the network's state dict.

    """
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in network(variant).state_dict().items()}
    constants = rules.constants(shapes)
    drawn = seeded_tensors({key: shape for key, shape in shapes.items() if key not in constants}, recipe, seed)
    return {key: constants[key] if key in constants else drawn[key] for key in shapes}
