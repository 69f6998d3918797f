"""The structure of a YOLOX network as a plain value, read from the keys and shapes of a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import UsageError, WeightsError, did_you_mean
from ..weights.keys import Shapes, common_size, count, has, named, sample, sizes, vote

Backbone = Literal["CSPDarknet", "RepVGGYOLOX"]
Form = Literal["train", "deploy"]
Neck = Literal["yolo", "gsconv"]
NeckMode = Literal["all", "part"]
Attention = Literal["ASFF", "ASFF_sim"]
Head = Literal["YOLOXHead", "TOODHead"]
ConvType = Literal["conv", "dwconv", "repconv"]
Activation = Literal["silu", "relu"]

# Published sizes as (depth, width) multiples: Megvii exps/default/yolox_*.py, EasyCV detectors/yolox/yolox.py.
SIZES: Mapping[str, tuple[float, float]] = {
    "nano": (0.33, 0.25),
    "tiny": (0.33, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}
# Channels of the head and of the backbone's first convolution at width 1 (Megvii models/yolo_head.py, darknet.py).
_HEAD_CHANNELS = 256
_STEM_CHANNELS = 64
# Blocks of RepVGGYOLOX's stages 1 to 4 at depth 1, not counting the first of each (EasyCV repvgg_yolox_backbone.py).
_REPVGG_REPEATS = (6, 12, 18, 6)

# Where the blocks of each stage are listed, and where the hidden width of the TOOD head's layer attention shows.
_DARK_STAGES = tuple(
    rf"backbone\.backbone\.{stage}\.m" for stage in (r"dark2\.1", r"dark3\.1", r"dark4\.1", r"dark5\.2")
)
_REPVGG_STAGES = tuple(rf"backbone\.backbone\.stage{stage}(?=\.\d+\.rbr_)" for stage in (1, 2, 3, 4))
_LAYER_ATTENTION = r"head\.(cls|reg)_decomps\.\d\.layer_attention\.0\.(weight|bias)"


@dataclass(frozen=True, slots=True)
class Variant:
    """Everything that the structure of a YOLOX network depends on.

    Settings of a part that the network lacks (ASFF, the TOOD head) are 0.

    Attributes:
        backbone: CSPDarknet, or RepVGGYOLOX of YOLOX-PAI.
        width: Channels as a multiple of the l size's.
        blocks: Blocks per stage: bottlenecks in dark2 .. dark5, or RepVGG blocks in stage1 .. stage4.
        neck_blocks: Blocks in each merging layer of the neck.
        num_classes: Classes that are told apart.
        depthwise: Depthwise separable convolutions in backbone and neck.
        form: RepVGG blocks with three branches (train) or already merged into one convolution (deploy).
        neck: Ordinary convolutions (yolo) or GSConv.
        neck_mode: GSConv in the merging layers too (all) or around them only (part).
        attention: Fusion across scales after the neck.
        asff_channels: Channels of ASFF's weight maps.
        expand_kernel: Kernel of ASFF's last convolution.
        head: YOLOX's decoupled head, or that of TOOD.
        conv_type: Convolutions of the head's branches.
        stacked_convs: Shared convolutions of the TOOD head.
        attention_hidden: Hidden width of the TOOD head's layer attention.
        activation: Not stored in a checkpoint; SiLU unless it was trained otherwise.

    """

    backbone: Backbone
    width: float
    blocks: tuple[int, ...]
    neck_blocks: int
    num_classes: int
    depthwise: bool = False
    form: Form = "train"
    neck: Neck = "yolo"
    neck_mode: NeckMode = "all"
    attention: Attention | None = None
    asff_channels: int = 0
    expand_kernel: int = 0
    head: Head = "YOLOXHead"
    conv_type: ConvType = "conv"
    stacked_convs: int = 0
    attention_hidden: int = 0
    activation: Activation = "silu"

    def channels(self, base: int) -> int:
        """Return the number of channels where the l size has *base*."""
        return int(base * self.width)

    @property
    def size(self) -> str:
        """Name of the published size, else width and blocks of the neck such as ``w0.5-d2``."""
        for name, (depth, width) in SIZES.items():
            layout = (width, stage_blocks(self.backbone, depth), round(3 * depth))
            if (self.width, self.blocks, self.neck_blocks) == layout:
                return name
        return f"w{self.width:g}-d{self.neck_blocks}"

    @property
    def title(self) -> str:
        """Short description for people, such as ``YOLOX-s, RepVGG, ASFF, TOOD head, 1 class``."""
        usual = "dwconv" if self.depthwise else "conv"
        branches = {"conv": "plain", "dwconv": "depthwise", "repconv": "RepVGG"}[self.conv_type]
        parts = (
            f"YOLOX-{self.size}",
            "depthwise" if self.depthwise else "",
            "RepVGG" if self.backbone == "RepVGGYOLOX" else "",
            {"all": "GSConv neck", "part": "partial GSConv neck"}[self.neck_mode] if self.neck == "gsconv" else "",
            {None: "", "ASFF": "ASFF", "ASFF_sim": "simple ASFF"}[self.attention],
            "TOOD head" if self.head == "TOODHead" else "",
            "" if self.conv_type == usual else f"{branches} head branches",
            "1 class" if self.num_classes == 1 else f"{self.num_classes} classes",
            "ReLU" if self.activation == "relu" else "",
        )
        return ", ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON can hold them."""
        return {**dataclasses.asdict(self), "blocks": list(self.blocks)}


def stage_blocks(backbone: Backbone, depth: float) -> tuple[int, ...]:
    """Return the blocks of each stage, as upstream derives them from its depth multiple."""
    if backbone == "RepVGGYOLOX":
        return tuple(1 + max(round(repeats * depth), 1) for repeats in _REPVGG_REPEATS)
    base = max(round(3 * depth), 1)
    return (base, 3 * base, 3 * base, base)


# YOLOX-PAI s with RepVGG in train form, ASFF and the TOOD head, for one class: EasyCV's configuration
# configs/detection/yolox/pai_yoloxs_asff_tood3_8xb16_300e_coco.py.
DEFAULT_VARIANT = Variant(
    backbone="RepVGGYOLOX",
    width=SIZES["s"][1],
    blocks=stage_blocks("RepVGGYOLOX", SIZES["s"][0]),
    neck_blocks=1,
    num_classes=1,
    attention="ASFF",
    asff_channels=2,
    expand_kernel=3,
    head="TOODHead",
    stacked_convs=3,
    attention_hidden=4,
)


def infer_variant(shapes: Shapes, activation: str = "silu") -> Variant:
    """Read the variant from the keys and shapes of a checkpoint.

    Where several tensors tell the same thing the majority decides, so that a checkpoint with a few
    missing or misshapen tensors still gets its variant, and strict loading can say which ones they are.

    Args:
        shapes: Shape of every tensor by its key, wrapper prefixes removed.
        activation: silu or relu, the one thing of the structure that a checkpoint does not tell.

    Raises:
        UsageError: There is no such activation.
        WeightsError: The keys are not those of a YOLOX network.

    """
    backbone = _infer_backbone(shapes)
    csp = backbone == "CSPDarknet"
    gsconv = has(shapes, r"backbone\.gsconv\d\.")
    attention = _infer_attention(shapes)
    tood = has(shapes, r"head\.(inter_convs|cls_decomps|reg_decomps)\.")
    return Variant(
        backbone=backbone,
        width=_infer_width(shapes),
        blocks=tuple(count(shapes, stage) for stage in (_DARK_STAGES if csp else _REPVGG_STAGES)),
        neck_blocks=count(shapes, r"backbone\.(C3_[pn]\d|vovGSCSP\d)\.m"),
        num_classes=_infer_classes(shapes),
        depthwise=csp and vote(named(shapes, r"backbone\.backbone\.dark\d\.0\.(dconv|conv)\.")) == "dconv",
        form="deploy" if vote(named(shapes, r".*\.(rbr_reparam|rbr_dense)\.")) == "rbr_reparam" else "train",
        neck="gsconv" if gsconv else "yolo",
        neck_mode="part" if gsconv and not has(shapes, r"backbone\.vovGSCSP\d\.") else "all",
        attention=attention,
        asff_channels=common_size(shapes, r"backbone\.asff_\d\.weight_level_\d\.conv\.weight$", 0) if attention else 0,
        expand_kernel=_infer_expand_kernel(shapes) if attention else 0,
        head="TOODHead" if tood else "YOLOXHead",
        conv_type=_infer_conv_type(shapes),
        stacked_convs=count(shapes, r"head\.inter_convs") if tood else 0,
        attention_hidden=common_size(shapes, _LAYER_ATTENTION, 0) if tood else 0,
        activation=_known_activation(activation),
    )


def _known_activation(name: str) -> Activation:
    for known in get_args(Activation):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"there is no activation {name!r} for YOLOX", did_you_mean(name, get_args(Activation)))


def _infer_backbone(shapes: Shapes) -> Backbone:
    """Tell the backbone by its first stage's names."""
    kinds: dict[str, Backbone] = {"stage": "RepVGGYOLOX", "stem": "CSPDarknet", "dark": "CSPDarknet"}
    found = vote(kinds[name] for name in named(shapes, r"backbone\.backbone\.(stage|stem|dark)"))
    if found is None:
        raise _not_yolox(
            shapes, "backbone.backbone.stem.conv.conv.weight (CSPDarknet) or backbone.backbone.stage0.rbr_* (RepVGG)"
        )
    return found


def _infer_width(shapes: Shapes) -> float:
    """Width multiple by the majority of the head's and the backbone's first tensors."""
    head, stem = _HEAD_CHANNELS, _STEM_CHANNELS
    sources = (
        (r"head\.stems\.\d\.(conv\.weight|bn\.(weight|bias))", 0, head),
        (r"head\.(cls|reg|obj)_preds\.\d\.weight", 1, head),
        (r"backbone\.backbone\.(stem\.conv\.conv|stage0\.rbr_(dense\.conv|1x1\.conv|reparam))\.weight", 0, stem),
    )
    votes = (size / base for pattern, axis, base in sources for size in sizes(shapes, pattern, axis))
    width = vote(votes)
    if width is None:
        raise _not_yolox(shapes, "head.stems.0.conv.weight, whose rows tell the width")
    return width


def _infer_classes(shapes: Shapes) -> int:
    classes = vote(sizes(shapes, r"head\.cls_preds\.\d\.(weight|bias)", 0))
    if classes is None:
        raise _not_yolox(shapes, "head.cls_preds.0.weight, whose rows tell the number of classes")
    return classes


def _infer_expand_kernel(shapes: Shapes) -> int:
    return common_size(shapes, r"backbone\.asff_\d\.expand\.conv\.weight", 2)


def _infer_attention(shapes: Shapes) -> Attention | None:
    """ASFF resizes by learned convolutions; the simple one has none of those."""
    if not has(shapes, r"backbone\.asff_\d\."):
        return None
    return "ASFF" if has(shapes, r"backbone\.asff_\d\.(stride|compress)_level_\d\.") else "ASFF_sim"


def _infer_conv_type(shapes: Shapes) -> ConvType:
    """Tell the convolutions of the head's branches by their names."""
    kinds: dict[str, ConvType] = {"conv": "conv", "bn": "conv", "dconv": "dwconv", "pconv": "dwconv", "rbr": "repconv"}
    return vote(kinds[name] for name in named(shapes, r"head\.(?:cls|reg)_convs\.\d\.\d\.([a-z]+)")) or "conv"


def _not_yolox(shapes: Shapes, looked_for: str) -> WeightsError:
    return WeightsError(
        f"these weights are not those of a YOLOX network: looked for {looked_for}; the keys are {sample(shapes)}",
        "Check the file and the model name; checkpoints of Megvii YOLOX and EasyCV (YOLOX-PAI) can be read.",
    )
