"""The activation of a classifier as a part of the network, for files of the form "decoded"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .classifier import ClassifierParams


class Activate(nn.Module):
    """Scores of the classes.

    Args:
        params: The activation.

    """

    def __init__(self, params: ClassifierParams) -> None:
        super().__init__()
        self.activation = {"none": nn.Identity(), "sigmoid": nn.Sigmoid(), "softmax": nn.Softmax(dim=-1)}[
            params.activation
        ]

    def forward(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return ``scores`` (N, C)."""
        (values,) = outputs.values()
        return {"scores": self.activation(values)}
