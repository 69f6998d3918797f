"""The ViT classifier in the form that ONNX Runtime runs fastest; equal up to rounding, and sharing most weights.

What differs from the network as it is trained:

- Tokens are the rows of one matrix, so that every linear layer becomes one Gemm with its bias.
- Queries, keys and values come from one linear layer, the scale of the attention is in its weights, and there is no
  attention mask.
- After the last attention only the class token is read, so the last layer works on that one alone, which saves 7 % of
  the arithmetic of ViT-base.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from .network import ExactGELU, ViTClassifier
from .variant import Variant


class Layer(nn.Module):
    """One transformer layer: attention between the tokens of an image, then two linear layers on each token.

    Args:
        state: Weights by key, without the layer's prefix.
        variant: The network's structure.
        class_only: Whether only the class tokens are wanted.

    """

    def __init__(self, state: dict[str, Tensor], variant: Variant, *, class_only: bool) -> None:
        super().__init__()
        self.variant, self.class_only = variant, class_only
        scale = (variant.hidden // variant.heads) ** -0.5
        query = [state[key] * scale for key in _keys(state, "attention.q_proj")]
        key, value = ([state[key] for key in _keys(state, f"attention.{part}_proj")] for part in "kv")
        if class_only:
            self.query = _linear(*query)
        inputs = (key, value) if class_only else (query, key, value)
        self.inputs = _linear(*(torch.cat(parts) for parts in zip(*inputs, strict=True)))
        self.output, self.fc1, self.fc2 = (
            _linear(*(state[key] for key in _keys(state, part))) for part in ("attention.o_proj", "mlp.fc1", "mlp.fc2")
        )
        self.norm1, self.norm2 = (_norm(state, f"layernorm_{part}", variant) for part in ("before", "after"))
        self.activation = ExactGELU() if variant.activation == "gelu" else ACT2FN[variant.activation]

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N*tokens,hidden) to the same shape, or to (N,hidden) where only the class tokens are wanted."""
        normed = self.norm1(x)
        parts = self.inputs(normed).split(self.variant.hidden, dim=1)
        if self.class_only:
            x, normed = (class_tokens(tokens, self.variant) for tokens in (x, normed))
            parts = (self.query(normed), *parts)
        x = x + self.output(self._attend(*parts))
        y: Tensor = x + self.fc2(self.activation(self.fc1(self.norm2(x))))
        return y

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Mix values by the softmax of query times key, head by head (arXiv 1706.03762, section 3.2)."""
        tokens, heads = self.variant.tokens, self.variant.heads
        asking = 1 if self.class_only else tokens
        query = query.view(-1, asking, heads, self.variant.hidden // heads).transpose(1, 2)
        key, value = (
            part.view(-1, tokens, heads, self.variant.hidden // heads).transpose(1, 2) for part in (key, value)
        )
        weights = functional.softmax(query @ key.transpose(2, 3), dim=-1)
        return (weights @ value).transpose(1, 2).reshape(-1, self.variant.hidden)


class ExportForm(nn.Module):
    """The whole network; see the top of the module."""

    def __init__(self, network: ViTClassifier) -> None:
        super().__init__()
        self.variant = variant = network.variant
        state = {key: tensor.detach() for key, tensor in network.state_dict().items()}
        embeddings = _part(state, "vit.embeddings.")
        self.patches = network.vit.embeddings.patch_embeddings.projection
        positions = embeddings["position_embeddings"]
        self.class_token = _constant(embeddings["cls_token"] + positions[:, :1])
        self.positions = _constant(positions[:, 1:])
        self.layers = nn.Sequential(
            *(
                Layer(_part(state, f"vit.layers.{index}."), variant, class_only=index == variant.layers - 1)
                for index in range(variant.layers)
            )
        )
        self.norm = _norm(state, "vit.layernorm", variant)
        self.classifier = network.classifier

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute (N,3,H,W) to ``logits`` (N,C); see `ViTClassifier.forward`."""
        patches = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        tokens = torch.cat((self.class_token.expand(x.shape[0], -1, -1), patches), dim=1)
        classes = self.layers(tokens.reshape(-1, self.variant.hidden))
        return {"logits": self.classifier(self.norm(classes))}


def export_form(network: ViTClassifier) -> nn.Module:
    """Return the network in this form, in eval mode without gradients; *network* stays as it is."""
    return ExportForm(network).eval().requires_grad_(False)


def class_tokens(tokens: Tensor, variant: Variant) -> Tensor:
    """Return the first of each image's tokens, (N*tokens,hidden) to (N,hidden)."""
    return tokens.view(-1, variant.tokens, variant.hidden)[:, 0]


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _keys(state: dict[str, Tensor], name: str) -> list[str]:
    """Return the keys of a linear layer: its weight, and its bias where it has one."""
    return [key for key in (f"{name}.weight", f"{name}.bias") if key in state]


def _constant(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Return a linear layer with these weights, (out,in) and (out,), used as they are."""
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight = _constant(weight)
    linear.bias = linear.bias if bias is None else _constant(bias)
    return linear


def _norm(state: dict[str, Tensor], name: str, variant: Variant) -> nn.LayerNorm:
    with torch.device("meta"):
        norm = nn.LayerNorm(variant.hidden, eps=variant.layer_norm_eps)
    norm.weight, norm.bias = (_constant(state[f"{name}.{kind}"]) for kind in ("weight", "bias"))
    return norm
