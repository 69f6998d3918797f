"""Forms: what files give instead of the networks' own outputs, and those that several models share."""

from __future__ import annotations

from typing import NamedTuple

# The network's own outputs.
RAW = "raw"


class Form(NamedTuple):
    """What a file may give in the place of the network's own outputs.

    Attributes:
        output_names: Names of the outputs, in order.
        outputs: Description of their content, for people.
        decode: ``"module:attribute"`` of (parameters of the postprocessing) -> a module that maps the dict of the
            network's outputs to that of these.
        postprocess: ``"module:attribute"`` of what takes these outputs, see `Postprocess`.
        output_shapes: ``"module:attribute"`` of the function that tells their shapes, see `ModelSpec.output_shapes`.
        inner: Another form, whose outputs are inside of this one: what follows them is added to the graph. "" where
            `decode` gives the outputs themselves.
        whole_numbers: Outputs that are int64; the others are float32.
        sealed: Parameters of the postprocessing that are a part of the graph. A higher score threshold and fewer
            detections can be asked for all the same.

    """

    output_names: tuple[str, ...]
    outputs: str
    decode: str
    postprocess: str
    output_shapes: str
    inner: str = ""
    whole_numbers: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()


DETECTOR_FORMS = {
    "decoded": Form(
        output_names=("boxes", "scores"),
        outputs="boxes (N,B,4) x1 y1 x2 y2 in network pixels, scores (N,B,C)",
        decode=".decoded:Decode",
        postprocess=".postprocess:postprocess_decoded",
        output_shapes="..ops.detector:decoded_shapes",
    ),
    "e2e": Form(
        output_names=("dets", "count"),
        outputs="dets (N,K,6) x1 y1 x2 y2 in network pixels, score, class; best first, then zeros; count (N) int64",
        decode=".decoded:Decode",
        postprocess=".postprocess:postprocess_e2e",
        output_shapes="..ops.detector:e2e_shapes",
        inner="decoded",
        whole_numbers=("count",),
        sealed=("score_threshold", "iou_threshold", "class_agnostic", "max_detections"),
    ),
}
CLASSIFIER_FORMS = {
    "decoded": Form(
        output_names=("scores",),
        outputs="scores (N,C), activation inside",
        decode="..ops.activation:Activate",
        postprocess="..ops.classifier:postprocess_decoded",
        output_shapes="..ops.classifier:decoded_shapes",
    ),
}
