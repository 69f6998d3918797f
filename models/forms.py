"""The forms that several models share: what files give instead of the networks' own outputs."""

from __future__ import annotations

from .spec import Form

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
