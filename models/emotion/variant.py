"""The structure of a Vision Transformer as a plain value, read from a checkpoint's keys, shapes and configuration."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import WeightsError
from ..params import MOST_PIXELS_A_SIDE
from ..weights.keys import Shapes, common_size, count, has, sample, sizes
from .keys import module_key

# Channels and layers at each published size: arXiv 2010.11929, table 1, and 2012.12877, table 1.
SIZES: Mapping[str, tuple[int, int]] = {
    "tiny": (192, 12),
    "small": (384, 12),
    "base": (768, 12),
    "large": (1024, 24),
    "huge": (1280, 32),
}
# Activation functions of the family, as configurations name them.
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu")
# Of every published size up to large. No tensor tells it.
_HEAD_CHANNELS = 64
_DEFAULT_EPS = 1e-12


@dataclass(frozen=True, slots=True)
class Variant:
    """Everything that the computation of a Vision Transformer depends on.

    Attributes:
        hidden: Channels of a token.
        layers: Transformer layers.
        heads: Attention heads in each layer.
        intermediate: Channels between the two linear layers that follow the attention.
        patch: Side of the square patches that become tokens, in pixels.
        image_size: (H, W) of the input, in pixels.
        num_classes: Classes that are told apart.
        qkv_bias: Whether queries, keys and values have biases.
        activation: Between the two linear layers, one of `ACTIVATIONS`; "gelu" is the exact one, with erf.
        layer_norm_eps: Added to the variance in every LayerNorm.

    """

    hidden: int
    layers: int
    heads: int
    intermediate: int
    patch: int
    image_size: tuple[int, int]
    num_classes: int
    qkv_bias: bool = True
    activation: str = "gelu"
    layer_norm_eps: float = _DEFAULT_EPS

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return 1 + math.prod(side // self.patch for side in self.image_size)

    @property
    def size(self) -> str:
        """Name of the published size, else channels and layers such as ``512x8``."""
        shape = (self.hidden, self.layers)
        return next((name for name, published in SIZES.items() if published == shape), f"{self.hidden}x{self.layers}")

    @property
    def title(self) -> str:
        """Short description for people, such as ``ViT-base patch16 224, 7 classes``."""
        height, width = self.image_size
        side = f"{height}" if height == width else f"{height}x{width}"
        classes = f"{self.num_classes} class{'' if self.num_classes == 1 else 'es'}"
        return f"ViT-{self.size} patch{self.patch} {side}, {classes}"

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON can hold them."""
        return {**dataclasses.asdict(self), "image_size": list(self.image_size)}


DEFAULT_VARIANT = Variant(
    hidden=768, layers=12, heads=12, intermediate=3072, patch=16, image_size=(224, 224), num_classes=7
)


def infer_variant(shapes: Shapes, config: Mapping[str, Any] | None = None) -> Variant:
    """Read the variant from the keys and shapes of a checkpoint.

    Args:
        shapes: Shape of every tensor by its key, under old or new names, wrapper prefixes removed.
        config: The Hub's ``config.json`` where there is one; without it, heads have 64 channels each, the activation
            is the exact GELU and the epsilon 1e-12, as in the published networks.

    Raises:
        WeightsError: The keys are not those of a ViT classifier, or the configuration contradicts them.

    """
    config = config or {}
    shapes = {module_key(key): shape for key, shape in shapes.items()}
    for part in (r"vit\.embeddings\.patch_embeddings\.", r"vit\.layers\.\d+\.attention\.", r"classifier\."):
        if not has(shapes, part):
            raise _not_vit(shapes, part.replace("\\", "").replace("d+", "*") + "*")
    hidden = common_size(shapes, r"vit\.layers\.\d+\.layernorm_(before|after)\.", 0)
    patch = common_size(shapes, r"vit\.embeddings\.patch_embeddings\.projection\.weight", 2)
    variant = Variant(
        hidden=hidden,
        layers=count(shapes, r"vit\.layers"),
        heads=_heads(hidden, config),
        intermediate=common_size(shapes, r"vit\.layers\.\d+\.mlp\.fc1\.", 0),
        patch=patch,
        image_size=_image_size(shapes, patch, config),
        num_classes=common_size(shapes, r"classifier\.", 0),
        qkv_bias=has(shapes, r"vit\.layers\.\d+\.attention\.[qkv]_proj\.bias"),
        activation=config.get("hidden_act", "gelu"),
        layer_norm_eps=_eps(config),
    )
    _check(variant, config)
    return variant


def _heads(hidden: int, config: Mapping[str, Any]) -> int:
    """Return the configuration's number of heads, else as many as have 64 channels each."""
    told = config.get("num_attention_heads")
    heads = hidden / _HEAD_CHANNELS if told is None else told
    if not isinstance(heads, int | float) or heads < 1 or heads % 1 or hidden % heads:
        raise WeightsError(
            f"{hidden} channels cannot be divided among {heads} attention heads",
            "Keep the checkpoint's config.json beside it, with the right num_attention_heads.",
        )
    return int(heads)


def _eps(config: Mapping[str, Any]) -> float:
    eps = config.get("layer_norm_eps", _DEFAULT_EPS)
    if not isinstance(eps, int | float) or not 0 <= eps < 1:
        raise WeightsError(f"layer_norm_eps {eps!r} is not a small number", "Mend the checkpoint's config.json.")
    return float(eps)


def _image_size(shapes: Shapes, patch: int, config: Mapping[str, Any]) -> tuple[int, int]:
    """Return (H, W): the configuration's, else the square that the position embeddings cover."""
    tokens = next(sizes(shapes, r"vit\.embeddings\.position_embeddings$", 1), DEFAULT_VARIANT.tokens)
    side = patch * math.isqrt(tokens - 1)
    told = _pair(config.get("image_size", side))
    if told is None or 1 + math.prod(length // patch for length in told) != tokens:
        raise WeightsError(
            f"{tokens - 1} position embeddings do not cover an image of {config.get('image_size', side)} pixels in "
            f"patches of {patch}",
            "Keep the checkpoint's config.json beside it, with the right image_size.",
        )
    if max(told) > MOST_PIXELS_A_SIDE:
        raise WeightsError(
            f"{tokens - 1} position embeddings are of images of {told[0]}x{told[1]} pixels, sides have at most "
            f"{MOST_PIXELS_A_SIDE}",
            "Check that the file is the checkpoint of this model.",
        )
    return told


def _pair(value: object) -> tuple[int, int] | None:
    """Return (H, W) from one number or two, None from anything else."""
    pair = [value, value] if isinstance(value, int) else value
    if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(side, int) for side in pair):  # noqa: PLR2004
        return pair[0], pair[1]
    return None


def _check(variant: Variant, config: Mapping[str, Any]) -> None:
    """Compare the configuration with what the tensors tell and what this network is."""
    expected = {
        "model_type": "vit",
        "problem_type": "single_label_classification",
        "hidden_size": variant.hidden,
        "num_hidden_layers": variant.layers,
        "intermediate_size": variant.intermediate,
        "num_channels": 3,
        "qkv_bias": variant.qkv_bias,
    }
    wrong = [
        f"{key} {config[key]!r} instead of {value!r}"
        for key, value in expected.items()
        if config.get(key) is not None and config[key] != value
    ]
    if "patch_size" in config and _pair(config["patch_size"]) != (variant.patch, variant.patch):
        wrong.append(f"patch_size {config['patch_size']!r} instead of {variant.patch}")
    if variant.activation not in ACTIVATIONS:
        wrong.append(f"hidden_act {variant.activation!r} instead of one of {', '.join(ACTIVATIONS)}")
    if wrong:
        raise WeightsError(
            f"the checkpoint's configuration contradicts its tensors or a ViT classifier: {'; '.join(wrong)}",
            "Use the config.json that belongs to the weights, or the weights file alone.",
        )


def _not_vit(shapes: Shapes, looked_for: str) -> WeightsError:
    return WeightsError(
        f"these weights are not those of a ViT classifier: looked for {looked_for}; the keys are {sample(shapes)}",
        "Check the file and the model name; Hugging Face ViTForImageClassification checkpoints can be read.",
    )
