"""The classifier of facial emotions as data. The names of input and output are the contract of the exported file."""

from __future__ import annotations

from ..forms import CLASSIFIER_FORMS
from ..spec import ModelSpec

SPEC = ModelSpec(
    name="emotion",
    package=__package__ or "",
    task="facial emotions, 7 classes",
    kind="classes",
    input_name="pixel_values",
    output_names=("logits",),
    outputs="logits (N,7), before the softmax",
    sizes="224x224 (what the position embeddings tell)",
    stride=None,
    code={
        "network": ".network:ViTClassifier",
        "keys": ".keys:KEYS",
        "export_form": ".export_form:export_form",
    },
    labels=("sad", "disgust", "angry", "neutral", "fear", "surprise", "happy"),
    label_lists={
        "facial_emotions_image_detection": ("sad", "disgust", "angry", "neutral", "fear", "surprise", "happy"),
        "vit-face-expression": ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    },
    translations={
        "zh": {
            "sad": "悲伤",
            "disgust": "厌恶",
            "angry": "生气",
            "neutral": "中性",
            "fear": "恐惧",
            "surprise": "惊讶",
            "happy": "开心",
        }
    },
    hub="hf:trpakov/vit-face-expression",
    batch_size=8,
    forms=CLASSIFIER_FORMS,
)
