"""Class names: COCO's, and the choice of the names that belong to a network's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .spec import ModelSpec, VariantOptions

# The 80 classes of COCO 2017 detection, in the order of their category ids (cocodataset.org, annotations).
_COCO = """
person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,
bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,
sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,
bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,
toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,
teddy bear,hair drier,toothbrush
"""
COCO_LABELS = tuple(name.strip() for name in _COCO.split(","))


def choose_labels(
    spec: ModelSpec, count: int, options: VariantOptions, from_checkpoint: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """Return *count* class names and the source of that decision.

    The option wins, then the checkpoint, then the model's own list and COCO's where the count fits.

    Raises:
        UsageError: The option has another count.

    """
    given = spec.label_lists[options.labels] if isinstance(options.labels, str) else options.labels
    if given is not None:
        if len(given) != count:
            raise UsageError(
                f"{len(given)} labels were given, the network has {count} classes",
                "Give one label per line, in class order.",
            )
        return given, "option"
    if len(from_checkpoint) == count:
        return tuple(from_checkpoint), "checkpoint config"
    if len(spec.labels) == count:
        return spec.labels, "model default"
    if len(COCO_LABELS) == count:
        return COCO_LABELS, "COCO"
    return tuple(f"class_{i}" for i in range(count)), "numbered"
