"""Trained weights on photos against what the original code found: from the file to the boxes."""

import json

import numpy as np
import pytest

import cvport


@pytest.fixture(scope="module")
def recorded(real):
    return json.loads((real / "nanodet_plus_coco_detections_public.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def exported(real, recorded, tmp_path_factory):
    """The file that the gate let through, with the photos among its probes."""
    options = cvport.VariantOptions(input_size=tuple(recorded["meta"]["input_size"]))
    output = tmp_path_factory.mktemp("coco")
    weights = real / "nanodet_plus_coco.safetensors"
    return cvport.export("nanodet", weights=weights, options=options, output=output, probes=[real / "images"])


def settings(meta):
    return {
        "score_threshold": meta["score_thr"],
        "iou_threshold": meta["nms_iou"],
        "max_detections": meta["max_num"],
    }


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_recorded_detections(real, recorded, exported, backend):
    weights = real / "nanodet_plus_coco.safetensors"
    given = {"weights": weights} if backend == "torch" else {}
    photos = sorted((real / "images").glob("0*.jpg"))
    assert len(photos) == 4
    with cvport.load(exported.onnx, backend=backend, **given, **settings(recorded["meta"])) as predictor:
        for photo in photos:
            expected = recorded["images"][photo.name]
            found = predictor(photo)
            assert list(found.labels) == expected["names"], photo.name
            np.testing.assert_allclose(found.scores, expected["scores"], rtol=0, atol=1e-3, err_msg=photo.name)
            np.testing.assert_allclose(found.boxes, expected["boxes"], rtol=0, atol=0.5, err_msg=photo.name)


def test_the_gate_compared_real_detections(exported):
    decoded = [entry["figures"] for entry in exported.record["comparisons"] if entry["tier"] == "decoded"]
    assert sum(figures["candidates"] == "over the threshold" for figures in decoded) >= 4
    assert sum(figures["matched"] for figures in decoded) >= 50
    assert exported.loaded == "645/645 tensors, 1,197,924 parameters"
