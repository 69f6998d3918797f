"""YOLOX as data. The names of the outputs are the contract of the exported file."""

from __future__ import annotations

from ..forms import DETECTOR_FORMS
from ..spec import ModelSpec

# Stride of the coarsest outputs.
STRIDE = 32

SPEC = ModelSpec(
    name="yolox",
    package=__package__ or "",
    task="hand detection; any YOLOX or YOLOX-PAI checkpoint",
    kind="detections",
    input_name="input",
    output_names=tuple(f"{kind}_{level}" for level in range(3) for kind in ("cls", "reg", "obj")),
    outputs="cls_i (N,C,h,w), reg_i (N,4,h,w), obj_i (N,1,h,w), raw, for strides 8, 16, 32",
    sizes="416x416 for nano and tiny, else 640x640; other multiples of 32 on demand",
    stride=STRIDE,
    code={"network": ".network:YOLOX"},
    labels=("hand",),
    translations={"zh": {"hand": "人手"}},
    hub="ms:damo/cv_yolox-pai_hand-detection",
    conventions=("easycv", "megvii", "megvii-legacy"),
    activations=("silu", "relu"),
    forms=DETECTOR_FORMS,
)
