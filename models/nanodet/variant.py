"""The structure of a NanoDet-Plus-m network as a plain value, read from the keys and shapes of a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import WeightsError
from ..weights.keys import Shapes, common_size, count, has, sample, sizes, vote

# Channels of the backbone's stages at each published width: nanodet/model/backbone/shufflenetv2.py of
# RangiLyu/nanodet, the source of every structural number here.
SIZES: Mapping[str, tuple[int, int, int]] = {
    "0.5x": (48, 96, 192),
    "1.0x": (116, 232, 464),
    "1.5x": (176, 352, 704),
    "2.0x": (244, 488, 976),
}
# The one buffer of the head. It holds 0, 1 .. reg_max, what the decoding multiplies the bins by.
PROJECT = "head.distribution_project.project"
# Of every published network; needed where a checkpoint leaves PROJECT out.
_REG_MAX = 7
_SIDES = 4


@dataclass(frozen=True, slots=True)
class Variant:
    """Everything that the structure of a NanoDet-Plus-m network depends on.

    Attributes:
        stem: Channels of the backbone's first convolution.
        stages: Channels of the backbone's three stages.
        repeats: Units in each stage.
        neck: Channels of the feature pyramid and of the head.
        neck_blocks: Ghost bottlenecks in each merging step of the pyramid.
        neck_kernel: Side of the pyramid's depthwise kernels.
        head_convs: Depthwise separable convolutions before each prediction.
        head_kernel: Side of their depthwise kernels.
        num_classes: Classes that are told apart.
        reg_max: Largest distance from a point to a side of its box, in strides; a side has reg_max + 1 bins.

    """

    stem: int
    stages: tuple[int, int, int]
    repeats: tuple[int, int, int]
    neck: int
    neck_blocks: int
    neck_kernel: int
    head_convs: int
    head_kernel: int
    num_classes: int
    reg_max: int

    @property
    def predictions(self) -> int:
        """Channels of each prediction: the classes, then the bins of left, top, right and bottom."""
        return self.num_classes + _SIDES * (self.reg_max + 1)

    @property
    def size(self) -> str:
        """Name of the published width, else the channels of the stages such as ``64-128-256``."""
        return next((name for name, stages in SIZES.items() if stages == self.stages), "-".join(map(str, self.stages)))

    @property
    def title(self) -> str:
        """Short description for people, such as ``NanoDet-Plus-m 1.5x, 80 classes``; the usual width goes unsaid."""
        size = "" if self.size == "1.0x" else f" {self.size}"
        return f"NanoDet-Plus-m{size}, {self.num_classes} class{'' if self.num_classes == 1 else 'es'}"

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON can hold them."""
        return {**dataclasses.asdict(self), "stages": list(self.stages), "repeats": list(self.repeats)}


# config/nanodet-plus-m_320.yml, with the three classes of the published detector.
DEFAULT_VARIANT = Variant(
    stem=24,
    stages=SIZES["1.0x"],
    repeats=(4, 8, 4),
    neck=96,
    neck_blocks=1,
    neck_kernel=5,
    head_convs=2,
    head_kernel=5,
    num_classes=3,
    reg_max=_REG_MAX,
)


def infer_variant(shapes: Shapes) -> Variant:
    """Read the variant from the keys and shapes of a checkpoint.

    Args:
        shapes: Shape of every tensor by its key, wrapper prefixes removed.

    Raises:
        WeightsError: The keys are not those of a NanoDet-Plus-m network.

    """
    for part in ("backbone.stage2.0.branch1", "fpn.reduce_layers", "head.gfl_cls"):
        if not has(shapes, rf"{part}\."):
            raise _not_nanodet(shapes, f"{part}.*")
    bins = count_bins(shapes)
    return Variant(
        stem=common_size(shapes, r"backbone\.conv1\.\d\.", 0),
        stages=(_stage(shapes, 2), _stage(shapes, 3), _stage(shapes, 4)),
        repeats=tuple(count(shapes, rf"backbone\.stage{stage}") for stage in (2, 3, 4)),  # type: ignore[arg-type]
        neck=common_size(shapes, r"fpn\.reduce_layers\.\d\.(conv|bn)\.", 0),
        neck_blocks=count(shapes, r"fpn\.(top_down|bottom_up)_blocks\.\d\.blocks"),
        neck_kernel=common_size(shapes, r"fpn\.(downsamples|extra_lvl_\w+)\.\d\.depthwise\.weight", 2),
        head_convs=count(shapes, r"head\.cls_convs\.\d"),
        head_kernel=common_size(shapes, r"head\.cls_convs\.\d\.\d\.depthwise\.weight", 2),
        num_classes=_predictions(shapes) - _SIDES * bins,
        reg_max=bins - 1,
    )


def _stage(shapes: Shapes, stage: int) -> int:
    """Channels of a stage: twice those of the branch that every unit has."""
    return 2 * common_size(shapes, rf"backbone\.stage{stage}\.\d\d?\.branch2\.\d\.(weight|bias)", 0)


def count_bins(shapes: Shapes) -> int:
    """Return the number of bins of each side, by the buffer that numbers them; the published one where it lacks."""
    return next(sizes(shapes, rf"{PROJECT}$", 0), _REG_MAX + 1)


def _predictions(shapes: Shapes) -> int:
    """Channels of each prediction: classes and the bins of four sides."""
    rows = vote(sizes(shapes, r"head\.gfl_cls\.\d\.(weight|bias)", 0)) or 0
    if rows <= _SIDES * count_bins(shapes):
        raise _not_nanodet(shapes, f"head.gfl_cls.0.weight with over {_SIDES * count_bins(shapes)} rows, found {rows}")
    return rows


def _not_nanodet(shapes: Shapes, looked_for: str) -> WeightsError:
    return WeightsError(
        "these weights are not those of a NanoDet-Plus-m network: "
        f"looked for {looked_for}; the keys are {sample(shapes)}",
        "Check the file and the model name; NanoDet-Plus with the ShuffleNetV2 backbone can be read.",
    )
