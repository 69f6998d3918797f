"""The published YOLOX networks."""

from cvport.errors import UsageError, did_you_mean
from cvport.models.yolox.variant import SIZES, Variant, stage_blocks


def megvii_variant(size: str, num_classes: int) -> Variant:
    """Return the published Megvii network of that size; nano alone is depthwise.

    Args:
        size: nano, tiny, s, m, l or x.
        num_classes: Number of classes.

    Raises:
        UsageError: There is no such size.

    """
    if size not in SIZES:
        raise UsageError(f"there is no YOLOX size {size!r}", did_you_mean(size, SIZES))
    depth, width = SIZES[size]
    return Variant(
        backbone="CSPDarknet",
        width=width,
        blocks=stage_blocks("CSPDarknet", depth),
        neck_blocks=round(3 * depth),
        num_classes=num_classes,
        depthwise=size == "nano",
        conv_type="dwconv" if size == "nano" else "conv",
    )
