"""STAR's landmark network as data. The name of the output is the contract of the exported file."""

from __future__ import annotations

from ..spec import ModelSpec

SPEC = ModelSpec(
    name="landmarks68",
    package=__package__ or "",
    task="68 facial landmarks (300W)",
    kind="landmarks",
    input_name="input",
    output_names=("landmarks",),
    outputs="landmarks (N,68,2), x y in [-1,1]",
    sizes="256x256",
    stride=None,
    code={"network": ".network:StackedHourglass", "keys": ".keys:KEYS"},
    # No public address is known to hold these weights.
    hub=None,
    takes_boxes=True,
    skeleton=".contours:SKELETON",
)
