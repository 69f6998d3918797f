"""A network whose outputs are decoded inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


class Formed(nn.Module):
    """A network and what follows it.

    Args:
        network: Maps (N, 3, H, W) to a dict of outputs by name.
        decode: Maps that dict to one of other outputs.

    """

    def __init__(self, network: nn.Module, decode: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.decode = decode.eval()
        self.training = network.training

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the other outputs."""
        outputs: dict[str, Tensor] = self.decode(self.network(x))
        return outputs


def within(change: Callable[[nn.Module], nn.Module]) -> Callable[[Formed], Formed]:
    """Return what changes the network in a `Formed` as *change* does a network alone."""
    return lambda formed: Formed(change(formed.network), formed.decode)
