"""The gesture classifier in PyTorch: MobileFaceNet, an embedding of unit length, a small head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Bottleneck, ConvBlock, LinearBlock, Residual
from .variant import Variant


class MobileFaceNet(nn.Module):
    """From an image to its embedding (arXiv 1804.07573, table 1)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        stem, features = variant.stem, variant.features
        self.conv1 = ConvBlock(3, stem, 3, stride=2, padding=1)
        self.conv2_dw = ConvBlock(stem, stem, 3, padding=1, groups=stem)
        inputs = (stem, *variant.widths[:2])
        self.conv_23, self.conv_34, self.conv_45 = (
            Bottleneck(*channels, 2) for channels in zip(inputs, variant.halving, variant.widths, strict=True)
        )
        self.conv_3, self.conv_4, self.conv_5 = (
            Residual(*sizes) for sizes in zip(variant.widths, variant.expanded, variant.repeats, strict=True)
        )
        self.conv_6_sep = ConvBlock(variant.widths[2], features)
        self.conv_6_dw = LinearBlock(features, features, variant.grid, groups=features)
        self.linear = nn.Linear(features, variant.embedding_size, bias=False)
        # In the checkpoint, but upstream's forward leaves it out, and so were the published weights trained.
        self.bn: nn.Module = nn.BatchNorm1d(variant.embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N,3,H,W) to (N,E), each row of length 1.

        As upstream, nothing guards the division: an image whose features are all zero gives NaN.
        """
        x = self.conv2_dw(self.conv1(x))
        x = self.conv_3(self.conv_23(x))
        x = self.conv_4(self.conv_34(x))
        x = self.conv_5(self.conv_45(x))
        x = self.linear(self.conv_6_dw(self.conv_6_sep(x)).flatten(1))
        embedding: Tensor = x / torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return embedding

    def fuse(self) -> None:
        """Drop the normalisation that is not applied."""
        self.bn = nn.Identity()


class HandStatic(nn.Module):
    """MobileFaceNet and head of a variant; keys and shapes of its state dict are those of the checkpoint."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.feature_extractor = MobileFaceNet(variant)
        self.fc_layer = nn.Sequential(
            nn.Linear(variant.embedding_size, variant.hidden),
            nn.Softplus(),
            nn.Linear(variant.hidden, variant.num_classes),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the scores.

        Args:
            x: (N,3,H,W) float32, preprocessed; H and W are the variant's.

        Returns:
            ``scores`` (N,C) in 0..1, a sigmoid for each class: they do not sum to 1.

        """
        return {"scores": self.fc_layer(self.feature_extractor(x))}
