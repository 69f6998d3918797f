"""The ViT classifier in PyTorch, on top of the network of the transformers package."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BackendError
from .variant import Variant

try:
    from transformers import ViTConfig, ViTModel
except (ImportError, OSError, RuntimeError) as error:
    raise BackendError(
        f"transformers cannot be imported: {error}", "Install it: pip install 'cvport[torch]'"
    ) from error


class ExactGELU(nn.Module):
    """x times the chance that a normal variable is below x (arXiv 1606.08415): x / 2 * (1 + erf(x / sqrt(2))).

    Written out, because torch_npu has the tanh approximation alone behind torch's own operator; in this order, because
    ONNX Runtime knows it by that and runs it as one step, which it does not as torch's exporter writes it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compute any shape to the same shape."""
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


class ViTClassifier(nn.Module):
    """A Vision Transformer (arXiv 2010.11929) and one linear layer on its class token.

    What transformers' ViTForImageClassification computes; keys and shapes of the state dict are the same.
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.vit = ViTModel(_config(variant), add_pooling_layer=False)
        if variant.activation == "gelu":
            layers: Any = self.vit.layers
            for layer in layers:
                layer.mlp.activation_fn = ExactGELU()
        self.classifier = nn.Linear(variant.hidden, variant.num_classes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the raw predictions.

        Args:
            x: (N,3,H,W) float32, preprocessed, of the variant's image size.

        Returns:
            ``logits`` (N,C), before the softmax.

        """
        tokens: Tensor = self.vit(x).last_hidden_state
        return {"logits": self.classifier(tokens[:, 0])}


def _config(variant: Variant) -> ViTConfig:
    return ViTConfig(
        hidden_size=variant.hidden,
        num_hidden_layers=variant.layers,
        num_attention_heads=variant.heads,
        intermediate_size=variant.intermediate,
        hidden_act=variant.activation,
        layer_norm_eps=variant.layer_norm_eps,
        image_size=list(variant.image_size),
        patch_size=variant.patch,
        qkv_bias=variant.qkv_bias,
    )
