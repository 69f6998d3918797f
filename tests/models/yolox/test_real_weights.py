"""Trained weights on photos against what the original runtimes found: from the file to the boxes."""

import json

import numpy as np
import pytest

import cvport
from cvport.models.ops.boxes import iou_matrix

MAX_PIXELS = 0.5
MAX_SCORE = 1e-3


def detect(real, weights, *, size=416, preprocess=None, activation=None, iou=0.45):
    """Return what is found in each photo."""
    options = cvport.VariantOptions(input_size=(size, size), preprocess=preprocess, activation=activation)
    with cvport.load(
        "yolox", backend="torch", weights=real / weights, options=options, score_threshold=0.3, iou_threshold=iou
    ) as predictor:
        return {path.name: predictor(path) for path in photos(real)}


def photos(real):
    paths = sorted((real / "images").glob("0*.jpg"))
    assert len(paths) == 4
    return paths


def recorded(real, name, key):
    """Return (labels, scores, boxes clipped to the picture) of each photo."""
    images = json.loads((real / f"{name}_detections_public.json").read_text(encoding="utf-8"))["images"]
    results = {}
    for path in photos(real):
        image = images[path.name]
        rows = image[key]["detections"] if isinstance(image[key], dict) else image[key]
        boxes = np.array([row["box"] for row in rows], np.float32).reshape(-1, 4)
        limits = [image["width"], image["height"]] * 2
        results[path.name] = [row["label"] for row in rows], [row["score"] for row in rows], np.clip(boxes, 0, limits)
    return results


def assert_found(found, expected):
    """Best first on both sides, so they correspond row by row."""
    for name, (labels, scores, boxes) in expected.items():
        assert list(found[name].labels) == labels, name
        np.testing.assert_allclose(found[name].scores, scores, rtol=0, atol=MAX_SCORE, err_msg=name)
        np.testing.assert_allclose(found[name].boxes, boxes, rtol=0, atol=MAX_PIXELS, err_msg=name)


def shares_a_box(a, b):
    return bool((iou_matrix(a.boxes, b.boxes) > 0.9).any())


def test_coco_with_megvii_preprocessing(real):
    expected = recorded(real, "yolox_nano_coco", "class_aware")
    assert sum(len(labels) for labels, _, _ in expected.values()) == 35
    assert {label for labels, _, _ in expected.values() for label in labels} == {"person", "cell phone", "bus"}
    assert_found(detect(real, "yolox_nano_coco.safetensors", preprocess="megvii"), expected)


@pytest.mark.parametrize(("size", "count"), [(416, 6), (640, 8)])
def test_hands_with_easycv_preprocessing(real, size, count):
    expected = recorded(real, "yolox_nano_hand_easycv", f"e{size}")
    assert sum(len(labels) for labels, _, _ in expected.values()) == count
    # A bare state dict: easycv is the default.
    assert_found(detect(real, "yolox_nano_hand.safetensors", size=size, iou=0.65), expected)


@pytest.mark.parametrize("weights", ["yolox_nano_hand.safetensors", "yolox_nano_hand.pth"])
def test_hands_with_legacy_preprocessing(real, weights):
    expected = recorded(real, "yolox_nano_hand", "square")
    assert sum(len(labels) for labels, _, _ in expected.values()) == 5
    assert_found(detect(real, weights, preprocess="megvii-legacy"), expected)


def test_hands_of_the_relu_network(real):
    expected = recorded(real, "yolox_nano_hand_relu", "square")
    found = detect(real, "yolox_nano_hand_relu.safetensors", preprocess="megvii-legacy", activation="relu")
    assert sum(len(labels) for labels, _, _ in expected.values()) == 10
    assert_found(found, expected)


def test_the_wrong_preprocessing_finds_junk(real):
    """The wrapping of the .pth says Megvii, which is what Megvii's own files need and this one does not."""
    right = detect(real, "yolox_nano_hand.pth", preprocess="megvii-legacy")
    wrong = detect(real, "yolox_nano_hand.pth")
    assert sum(map(len, wrong.values())) > 10 * sum(map(len, right.values()))


@pytest.mark.parametrize(
    ("weights", "right", "wrong"),
    [("yolox_nano_hand.safetensors", "silu", "relu"), ("yolox_nano_hand_relu.safetensors", "relu", "silu")],
)
def test_the_wrong_activation_finds_something_else(real, weights, right, wrong):
    good = detect(real, weights, preprocess="megvii-legacy", activation=right)
    bad = detect(real, weights, preprocess="megvii-legacy", activation=wrong)
    assert sum(map(len, good.values())) >= 5
    for name, found in good.items():
        assert not len(found) or not shares_a_box(found, bad[name])
