"""Decoding against a plain implementation, pair by pair, and against what upstream's code recorded."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvport.errors import ArtifactError
from cvport.models.nanodet.postprocess import ImageTransform, PostprocessParams, postprocess
from cvport.models.nanodet.spec import SPEC

LABELS = ("person", "face", "hand")
# The way thresholds are called in the recorded files.
UPSTREAM = {"score_threshold": "score_thr_final", "iou_threshold": "iou_thr", "max_detections": "max_num"}


def outputs_of(rng, classes=3, size=(64, 96), batch=1, bins=8):
    """Raw outputs with some scores over a half, as a network of this input size gives them."""
    outputs = {}
    for level, stride in enumerate((8, 16, 32, 64)):
        grid = tuple(math.ceil(side / stride) for side in size)
        outputs[f"cls_score_{level}"] = rng.normal(-2, 1.5, (batch, classes, *grid)).astype(np.float32)
        outputs[f"bbox_pred_{level}"] = rng.normal(0, 3, (batch, 4 * bins, *grid)).astype(np.float32)
    return outputs


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0


def plain(outputs, frame, params, *, classes=None, best=None):
    """Return (class, score, box in image pixels) of a batch's first picture, best first, in plain Python."""
    found = []
    for level, stride in enumerate(params.strides):
        logits, bins = outputs[f"cls_score_{level}"][0], outputs[f"bbox_pred_{level}"][0]
        for class_id, row, column in np.ndindex(*logits.shape):
            score = 1 / (1 + math.exp(-logits[class_id, row, column]))
            if (best is None and score < params.score_threshold) or (classes is not None and class_id not in classes):
                continue
            sides = bins[:, row, column].astype(np.float64).reshape(4, -1)
            weights = np.exp(sides - sides.max(axis=1, keepdims=True))
            left, top, right, bottom = (
                stride * (weights / weights.sum(axis=1, keepdims=True)) @ np.arange(len(sides[0]))
            )
            x, y = stride * (column + params.prior_offset), stride * (row + params.prior_offset)
            box = np.clip([x - left, y - top, x + right, y + bottom], 0, [frame[2], frame[3]] * 2)
            found.append((class_id, score, box))
    found.sort(key=lambda entry: -entry[1])
    kept = []
    for class_id, score, box in found[:best]:
        rivals = (other for other_class, _, other in kept if params.class_agnostic or other_class == class_id)
        if all(iou(box, other) <= params.iou_threshold for other in rivals):
            kept.append((class_id, score, box))
    ratio = np.array([frame[0] / frame[2], frame[1] / frame[3]] * 2)
    return [(class_id, score, box * ratio) for class_id, score, box in kept[: params.max_detections]]


def test_a_batch_of_none():
    outputs = {name: values[:0] for name, values in outputs_of(np.random.default_rng(0)).items()}
    assert postprocess(outputs, [], PostprocessParams(), LABELS) == []


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.sampled_from([1, 2, 3]),
    bins=st.sampled_from([8, 4]),
    params=st.builds(
        PostprocessParams,
        score_threshold=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
        iou_threshold=st.sampled_from([0.1, 0.5, 1.0]),
        class_agnostic=st.booleans(),
        max_detections=st.sampled_from([1, 7, 100]),
        prior_offset=st.sampled_from([0.0, 0.5]),
    ),
    frame=st.sampled_from(
        [ImageTransform(96, 64, 96, 64), ImageTransform(427, 640, 96, 64), ImageTransform(5, 3, 96, 64)]
    ),
    wanted=st.sampled_from([None, [0], [1, 2]]),
    best=st.sampled_from([None, None, 1, 50]),
)
def test_the_plain_implementation_finds_the_same(*, seed, classes, bins, params, frame, wanted, best):
    outputs = outputs_of(np.random.default_rng(seed), classes, bins=bins)
    (found,) = postprocess(outputs, [frame], params, LABELS, classes=wanted, best=best)
    expected = plain(outputs, frame, params, classes=wanted, best=best)
    assert found.class_ids.tolist() == [class_id for class_id, _, _ in expected]
    assert found.labels == tuple(LABELS[i] for i in found.class_ids)
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], atol=1e-6)
    np.testing.assert_allclose(found.boxes, np.reshape([box for *_, box in expected], (-1, 4)), atol=1e-2)
    assert (found.boxes.dtype, found.scores.dtype, found.class_ids.dtype) == (np.float32, np.float32, np.int64)


def test_each_picture_of_a_batch_is_decoded_alone():
    outputs = outputs_of(np.random.default_rng(1), batch=3)
    frames = [ImageTransform(96, 64, 96, 64), ImageTransform(200, 100, 96, 64), ImageTransform(50, 400, 96, 64)]
    together = postprocess(outputs, frames, PostprocessParams(), LABELS)
    for i, frame in enumerate(frames):
        one = {name: values[i : i + 1] for name, values in outputs.items()}
        (alone,) = postprocess(one, [frame], PostprocessParams(), LABELS)
        np.testing.assert_array_equal(alone.boxes, together[i].boxes)
        assert alone.labels == together[i].labels


def single(class_logits, sides, level=3, cell=(1, 2), size=(192, 256)):
    """Outputs in which one point has these class logits and, for each side, all weight on one bin."""
    outputs = {name: np.full_like(x, -9) for name, x in outputs_of(np.random.default_rng(0), size=size).items()}
    outputs[f"cls_score_{level}"][0, :, cell[0], cell[1]] = class_logits
    for side, number in enumerate(sides):
        outputs[f"bbox_pred_{level}"][0, 8 * side + number, cell[0], cell[1]] = 90
    return outputs


FRAME = ImageTransform(256, 192, 256, 192)


def test_distances_start_at_the_corner_of_the_cell():
    outputs = single((2, -9, -9), (1, 0, 0, 1))
    (found,) = postprocess(outputs, [FRAME], PostprocessParams(), LABELS)
    assert found.boxes.tolist() == [[64, 64, 128, 128]]
    (shifted,) = postprocess(outputs, [FRAME], PostprocessParams(prior_offset=0.5), LABELS)
    assert shifted.boxes.tolist() == [[96, 96, 160, 160]]


def test_boxes_are_clipped_and_mapped_by_each_sides_ratio():
    outputs = single((2, -9, -9), (7, 1, 7, 1))
    (found,) = postprocess(outputs, [ImageTransform(512, 96, 256, 192)], PostprocessParams(), LABELS)
    assert found.boxes.tolist() == [[0, 0, 512, 64]]


def test_one_point_can_be_two_classes_and_margins_tell_how_close_they_were():
    (found,) = postprocess(single((1, 2, -9), (1, 1, 1, 1)), [FRAME], PostprocessParams(), LABELS)
    assert found.labels == ("face", "person")
    assert found.margins == pytest.approx([found.scores[0] - found.scores[1]] * 2)
    (found,) = postprocess(single((-9, 2, -9), (1, 1, 1, 1)), [FRAME], PostprocessParams(), LABELS)
    assert found.margins == pytest.approx(found.scores - 1 / (1 + math.exp(9)))
    (agnostic,) = postprocess(single((1, 2, -9), (1, 1, 1, 1)), [FRAME], PostprocessParams(class_agnostic=True), LABELS)
    assert agnostic.labels == ("face",)


def test_nothing_found():
    outputs = {name: np.full_like(x, -9) for name, x in outputs_of(np.random.default_rng(0)).items()}
    (found,) = postprocess(outputs, [ImageTransform(9, 9, 96, 64)], PostprocessParams(), LABELS)
    assert (found.boxes.shape, found.labels, len(found)) == ((0, 4), (), 0)
    (none,) = postprocess(outputs, [ImageTransform(9, 9, 96, 64)], PostprocessParams(), LABELS, classes=[])
    assert len(none) == 0


def test_extreme_logits_stay_finite():
    outputs = {name: np.full_like(x, 3e38) for name, x in outputs_of(np.random.default_rng(0)).items()}
    outputs |= {"bbox_pred_0": np.full_like(outputs["bbox_pred_0"], -3e38)}
    (found,) = postprocess(outputs, [ImageTransform(9, 9, 96, 64)], PostprocessParams(), LABELS)
    assert np.isfinite(found.boxes).all()
    assert found.scores.max() == 1


@pytest.mark.parametrize("kind", ["training_bgr", "upstream_rgb"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
@pytest.mark.parametrize("folder", [".", "opencv4"])
def test_upstreams_detections_from_its_network_input(shared, golden_nanodet, folder, name, kind):
    place = shared / "goldens/nanodet" / folder
    content = json.loads((place / "image_seed0.json").read_text())
    height, width = content["images"][name]["size_hw"]
    recorded = content["images"][name][kind]
    pixels = np.load(place / "image_seed0.npz")[f"{name}.{kind}.input"]
    with torch.inference_mode():
        outputs = SPEC.build_network(golden_nanodet.state)(torch.from_numpy(pixels))
    params = PostprocessParams(**{field: content["_notes"][key] for field, key in UPSTREAM.items()})
    arrays = {key: value.numpy() for key, value in outputs.items()}
    (found,) = postprocess(arrays, [ImageTransform(width, height, 320, 320)], params, LABELS)
    # Upstream gives the worst first.
    np.testing.assert_array_equal(found.class_ids, recorded["upstream_output"]["labels"][::-1])
    np.testing.assert_allclose(found.scores, recorded["upstream_output"]["scores"][::-1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.boxes, recorded["float_boxes"][::-1], rtol=0, atol=0.1)
    (wrong,) = postprocess(arrays, [ImageTransform(width, height, 320, 320)], replace(params, prior_offset=0.5), LABELS)
    if len(wrong) == len(found):
        assert np.abs(wrong.boxes - found.boxes).max() > 3


@pytest.mark.parametrize(
    "wrong",
    [{"score_threshold": 1.5}, {"iou_threshold": -0.1}, {"max_detections": 0}, {"strides": (0, 8)}],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        PostprocessParams(**wrong)


def test_numpy_alone_is_imported():
    code = "import sys, cvport.models.nanodet.postprocess; sys.exit(any(m in sys.modules for m in ('torch', 'cv2')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("channels", [(33, 33, 33, 33), (32, 32, 28, 32)])
def test_bins_that_are_no_whole_number_a_side(channels):
    outputs = outputs_of(np.random.default_rng(0))
    for level, count in enumerate(channels):
        shape = outputs[f"bbox_pred_{level}"].shape
        outputs[f"bbox_pred_{level}"] = np.zeros((shape[0], count, *shape[2:]), np.float32)
    with pytest.raises(ArtifactError, match=r"bbox_pred has .* channels"):
        postprocess(outputs, [ImageTransform(96, 64, 96, 64)], PostprocessParams(), LABELS)
