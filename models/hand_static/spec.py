"""The hand gestures as data. The name of the output is the contract of the exported file."""

from __future__ import annotations

from ..forms import CLASSIFIER_FORMS
from ..spec import ModelSpec

# modelscope/models/cv/hand_static/hand_model.py of modelscope/modelscope, in the order of its index table. The table's
# last entry, nohand, has no output in the network.
_CHINESE = {
    "unrecog": "未识别",
    "one": "单指",
    "two": "双指",
    "bixin": "比心",
    "yaogun": "摇滚",
    "zan": "点赞",
    "fist": "拳头",
    "ok": "OK",
    "tuoju": "托举",
    "d_bixin": "双手比心",
    "d_fist_left": "左抱拳",
    "d_fist_right": "右抱拳",
    "d_hand": "双手",
    "fashe": "发射",
    "five": "五指张开",
}

SPEC = ModelSpec(
    name="hand_static",
    package=__package__ or "",
    task="hand gestures, 15 classes",
    kind="classes",
    input_name="input",
    output_names=("scores",),
    outputs="scores (N,15), sigmoids",
    sizes="112x112",
    stride=None,
    code={"network": ".network:HandStatic", "export_form": ".export_form:export_form"},
    labels=tuple(_CHINESE),
    translations={"zh": _CHINESE},
    hub="ms:iic/cv_mobileface_hand-static",
    batch_size=8,
    forms=CLASSIFIER_FORMS,
)
