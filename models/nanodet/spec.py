"""NanoDet-Plus-m as data. The names of the outputs are the contract of the exported file."""

from __future__ import annotations

from ..forms import DETECTOR_FORMS
from ..spec import ModelSpec

SPEC = ModelSpec(
    name="nanodet",
    package=__package__ or "",
    task="person, face and hand detection; any NanoDet-Plus-m checkpoint",
    kind="detections",
    input_name="input",
    output_names=tuple(f"{kind}_{level}" for level in range(4) for kind in ("cls_score", "bbox_pred")),
    outputs="cls_score_i (N,C,h,w), bbox_pred_i (N,32,h,w), raw, for strides 8, 16, 32, 64",
    sizes="320x320; other multiples of 32 on demand",
    # Not 64: the coarsest level rounds up, and published networks are trained at 416.
    stride=32,
    code={"network": ".network:NanoDetPlus", "keys": ".keys:KEYS"},
    labels=("person", "face", "hand"),
    translations={"zh": {"person": "人体", "face": "人脸", "hand": "人手"}},
    hub="ms:iic/cv_nanodet_face-human-hand-detection",
    forms=DETECTOR_FORMS,
)
