"""The structure of a STAR network as a plain value, read from the keys and shapes of a checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ...errors import WeightsError
from ..weights.keys import Shapes, common_size, count, has, named, sample
from .contours import CONTOURS, NUM_POINTS


@dataclass(frozen=True, slots=True)
class Variant:
    """Everything that the structure of a STAR network for 68 points depends on.

    Attributes:
        stem: Channels of the first convolution; the layers up to the hourglasses have twice as many.
        width: Channels of the hourglasses.
        levels: Number of times that an hourglass halves its maps.
        stacks: Hourglasses one after the other.

    """

    stem: int
    width: int
    levels: int
    stacks: int

    @property
    def title(self) -> str:
        """Short description for people, such as ``STAR, 4 stacked hourglasses, 68 points``."""
        width = "" if self.width == DEFAULT_VARIANT.width else f" of {self.width} channels"
        return f"STAR, {self.stacks} stacked hourglass{'' if self.stacks == 1 else 'es'}{width}, {NUM_POINTS} points"

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)


# conf/alignment.py and lib/backbone/stackedHGNetV1.py of ZhenglinZhou/STAR, for 300W.
DEFAULT_VARIANT = Variant(stem=64, width=256, levels=4, stacks=4)


def infer_variant(shapes: Shapes) -> Variant:
    """Read the variant from the keys and shapes of a checkpoint.

    Args:
        shapes: Shape of every tensor by its key, wrapper prefixes removed.

    Raises:
        WeightsError: The keys are not those of a STAR network, or of one for other points.

    """
    for part in ("pre.0.conv", "hgs.0.coordconv", "out_heatmaps.0.conv", "out_edgemaps.0.conv"):
        if not has(shapes, rf"{part}\."):
            raise WeightsError(
                "these weights are not those of a STAR landmark network: "
                f"looked for {part}.*; the keys are {sample(shapes)}",
                "Check the file and the model name; StackedHGNetV1 with CoordConv and edge maps can be read.",
            )
    _check_points(shapes)
    return Variant(
        stem=common_size(shapes, r"pre\.0\.(conv|bn)\.", 0),
        width=common_size(shapes, r"merge_features\.\d+\.conv\.", 0)
        if has(shapes, r"merge_features\.")
        else common_size(shapes, r"features\.\d+\.1\.", 0),
        levels=1 + max((name.count("low2.") for name in named(shapes, r"hgs\.\d+\.((low2\.)+)low1\.")), default=0),
        stacks=count(shapes, "hgs"),
    )


def _check_points(shapes: Shapes) -> None:
    """Refuse networks that were trained on the points of another data set."""
    points = common_size(shapes, r"out_(heat|point)maps\.\d+\.conv\.", 0)
    edges = common_size(shapes, r"out_edgemaps\.\d+\.conv\.", 0)
    if (points, edges) != (NUM_POINTS, len(CONTOURS)):
        raise WeightsError(
            f"these weights find {points} points on {edges} lines of a face; "
            f"landmarks68 has {NUM_POINTS} points on {len(CONTOURS)}",
            "Give a network trained on 300W; WFLW has 98 points on 15 lines, COFW 29 on 14.",
        )
