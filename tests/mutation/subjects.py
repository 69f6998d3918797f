"""The networks whose files are studied: one of each model, at a size at which a thousand runs are an hour."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnxruntime

from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from helpers.gate import Exported
from helpers.yolox import megvii_variant


def seeded(name: str, seed: int = 0, variant=None, options: VariantOptions | None = None) -> Exported:
    spec = get_model(name)
    checkpoint = Checkpoint(spec.seeded(seed, variant), f"seeded:{seed}", "0" * 64, untrained=True)
    return Exported(spec, checkpoint, options)


def small_vit():
    """ViT-base has the same operators, twelve layers of 768."""
    from cvport.models.emotion.variant import Variant

    return Variant(hidden=192, layers=4, heads=3, intermediate=768, patch=16, image_size=(224, 224), num_classes=7)


def small_star():
    """STAR has the same operators, four stacks of three levels."""
    from cvport.models.landmarks68.variant import Variant

    return Variant(stem=8, width=16, levels=2, stacks=2)


SUBJECTS: dict[str, Callable[[int], Exported]] = {
    "yolox": lambda seed: seeded("yolox", seed, options=VariantOptions(input_size=(160, 160))),
    "yolox-nano": lambda seed: seeded("yolox", seed, megvii_variant("nano", 80), VariantOptions(input_size=(160, 160))),
    "nanodet": lambda seed: seeded("nanodet", seed, options=VariantOptions(input_size=(160, 160))),
    "hand_static": lambda seed: seeded("hand_static", seed),
    "landmarks68": lambda seed: seeded("landmarks68", seed, small_star()),
    "emotion": lambda seed: seeded("emotion", seed, small_vit()),
}


def inner_ranges(made: Exported) -> dict[str, float]:
    """The largest value that the gate's inputs reach, for each tensor behind a convolution or a matrix product."""
    model = onnx.load_from_string(made.onnx)
    names = [node.output[0] for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    outputs = {entry.name for entry in model.graph.output}
    for name in names:
        if name not in outputs:
            model.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest = dict.fromkeys(names, 0.0)
    for case in made.reference.cases:
        for row in case.inputs:
            for name, value in zip(names, session.run(names, {made.spec.input_name: row[None]}), strict=True):
                largest[name] = max(largest[name], float(value.max()))
    return largest
