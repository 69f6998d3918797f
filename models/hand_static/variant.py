"""The structure of a gesture classifier as a plain value, read from the keys and shapes of a checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ...errors import WeightsError
from ..weights.keys import Shapes, common_size, count, has, sample

# What comes before the stages' channels in a key; the head stands beside it.
_BACKBONE = "feature_extractor"
# Height and width are halved by the first convolution and at the start of each of the three stages.
_STRIDE = 16


@dataclass(frozen=True, slots=True)
class Variant:
    """Everything that the structure of a MobileFaceNet with its head depends on.

    Attributes:
        stem: Channels of the first two convolutions.
        widths: Channels of the three stages.
        halving: Channels inside the bottleneck that starts each stage and halves height and width.
        expanded: Channels inside the residual bottlenecks of each stage.
        repeats: Residual bottlenecks in each stage.
        features: Channels after the last stage.
        grid: Side of the map after the last stage, and of the kernel that covers all of it.
        embedding_size: Numbers that describe an image before the head.
        hidden: Width of the head's hidden layer.
        num_classes: Classes that are told apart.

    """

    stem: int
    widths: tuple[int, int, int]
    halving: tuple[int, int, int]
    expanded: tuple[int, int, int]
    repeats: tuple[int, int, int]
    features: int
    grid: int
    embedding_size: int
    hidden: int
    num_classes: int

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) of the network input: the one size that leaves `grid` after all halvings."""
        return _STRIDE * self.grid, _STRIDE * self.grid

    @property
    def title(self) -> str:
        """Short description for people, such as ``MobileFaceNet 512, 15 classes``: embedding and classes."""
        return f"MobileFaceNet {self.embedding_size}, {self.num_classes} class{'' if self.num_classes == 1 else 'es'}"

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON can hold them."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


# modelscope/models/cv/hand_static/networks.py of modelscope/modelscope; table 1 of arXiv 1804.07573 but for the first
# convolutions' and the embedding's size.
DEFAULT_VARIANT = Variant(
    stem=64,
    widths=(64, 128, 128),
    halving=(128, 256, 512),
    expanded=(128, 256, 256),
    repeats=(4, 6, 2),
    features=512,
    grid=7,
    embedding_size=512,
    hidden=128,
    num_classes=15,
)


def infer_variant(shapes: Shapes) -> Variant:
    """Read the variant from the keys and shapes of a checkpoint.

    Args:
        shapes: Shape of every tensor by its key, wrapper prefixes removed.

    Raises:
        WeightsError: The keys are not those of a MobileFaceNet with its head.

    """
    for part in (f"{_BACKBONE}.conv_23", f"{_BACKBONE}.conv_6_dw", "fc_layer.2"):
        if not has(shapes, rf"{part}\."):
            raise WeightsError(
                "these weights are not those of a MobileFaceNet gesture classifier: "
                f"looked for {part}.*; the keys are {sample(shapes)}",
                "Check the file and the model name.",
            )

    def channels(blocks: str) -> int:
        return common_size(shapes, rf"{_BACKBONE}\.{blocks}\.(conv|bn|prelu)\.(weight|bias|running_\w+)", 0)

    stages = (3, 4, 5)
    widths, halving, expanded, repeats = (
        tuple(channels(rf"conv_({stage - 1}{stage}|{stage}\.model\.\d\d?)\.project") for stage in stages),
        tuple(channels(rf"conv_{stage - 1}{stage}\.conv(_dw)?") for stage in stages),
        tuple(channels(rf"conv_{stage}\.model\.\d\d?\.conv(_dw)?") for stage in stages),
        tuple(count(shapes, rf"{_BACKBONE}\.conv_{stage}\.model") for stage in stages),
    )
    return Variant(
        stem=channels(r"(conv1|conv2_dw)"),
        widths=widths,  # type: ignore[arg-type]
        halving=halving,  # type: ignore[arg-type]
        expanded=expanded,  # type: ignore[arg-type]
        repeats=repeats,  # type: ignore[arg-type]
        features=channels(r"conv_6_(sep|dw)"),
        grid=common_size(shapes, rf"{_BACKBONE}\.conv_6_dw\.conv\.weight", 2),
        embedding_size=common_size(shapes, rf"{_BACKBONE}\.(linear\.weight|bn\.(weight|bias|running_\w+))", 0),
        hidden=common_size(shapes, r"fc_layer\.0\.(weight|bias)", 0),
        num_classes=common_size(shapes, r"fc_layer\.2\.(weight|bias)", 0),
    )
