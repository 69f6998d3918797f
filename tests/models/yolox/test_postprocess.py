"""Decoding against a plain implementation in double precision, and against what upstream's code decodes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cvport.models.ops.scores import sigmoid
from cvport.models.yolox.postprocess import ImageTransform, PostprocessParams, postprocess

STRIDES = (8, 16, 32)
ALL = PostprocessParams(score_threshold=0.0, iou_threshold=1.0, max_detections=100_000)


def make_outputs(seed, classes, size=(64, 96), batch=1, strides=STRIDES):
    """Logits on a grid of quarters, so that equal scores are frequent and exact."""
    rng = np.random.default_rng(seed)
    outputs = {}
    for level, stride in enumerate(strides):
        cells = (size[0] // stride, size[1] // stride)
        outputs[f"cls_{level}"] = rng.integers(-8, 9, (batch, classes, *cells)) / 4
        outputs[f"reg_{level}"] = rng.normal(0.7, 1.0, (batch, 4, *cells))
        outputs[f"obj_{level}"] = rng.integers(-8, 13, (batch, 1, *cells)) / 4
    return {name: values.astype(np.float32) for name, values in outputs.items()}


def empty_outputs(classes=1, size=(64, 64), batch=1):
    """Nothing anywhere; tests put single detections in."""
    outputs = make_outputs(0, classes, size, batch)
    return {name: np.full_like(values, 0 if name.startswith("reg") else -20) for name, values in outputs.items()}


def put(outputs, level, row, column, *, logit=10.0, class_id=0, reg=(0.0, 0.0, 0.0, 0.0)):
    outputs[f"obj_{level}"][0, 0, row, column] = logit
    outputs[f"cls_{level}"][0, class_id, row, column] = logit
    outputs[f"reg_{level}"][0, :, row, column] = reg


def names_of(count):
    return tuple(f"c{index}" for index in range(count))


def plain_anchors(outputs, strides, inside=False):
    """Return (box, class scores) of every cell, in double precision."""
    for level, stride in enumerate(strides):
        cls, reg, obj = (outputs[f"{kind}_{level}"][0].astype(np.float64) for kind in ("cls", "reg", "obj"))
        for row in range(cls.shape[1]):
            for column in range(cls.shape[2]):
                dx, dy, dw, dh = reg[:, row, column]
                x, y, w, h = (dx + column) * stride, (dy + row) * stride, np.exp(dw) * stride, np.exp(dh) * stride
                raw_obj, raw_cls = obj[0, row, column], cls[:, row, column]
                scores = raw_obj * raw_cls if inside else (1 / (1 + np.exp(-raw_obj))) * (1 / (1 + np.exp(-raw_cls)))
                yield (x - w / 2, y - h / 2, x + w / 2, y + h / 2), scores


def plain_overlap(a, b):
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def plain_detections(outputs, frame, params, classes=None, best=None):
    """Return rows of (box, score, class, margin) and whether a limit is so near that rounding may decide."""
    rows = []
    near = False
    for box, scores in plain_anchors(outputs, params.strides, params.activation == "none"):
        winner = int(np.argmax(scores))
        near |= best is None and abs(scores[winner] - params.score_threshold) < 1e-6
        if best is None and scores[winner] < params.score_threshold:
            continue
        runner_up = np.sort(scores)[-2] if len(scores) > 1 else 0.0
        if classes is None or winner in classes:
            rows.append((box, scores[winner], winner, scores[winner] - runner_up))
    rows.sort(key=lambda row: -row[1])
    kept = []
    for row in rows[:best]:
        rivals = [k for k in kept if params.class_agnostic or k[2] == row[2]]
        overlaps = [plain_overlap(k[0], row[0]) for k in rivals]
        near |= any(abs(value - params.iou_threshold) < 1e-5 for value in overlaps)
        if all(value <= params.iou_threshold for value in overlaps):
            kept.append(row)
    limits = np.array([frame.width, frame.height, frame.width, frame.height])
    rows = [(np.clip(np.array(box) / frame.scale, 0, limits), *rest) for box, *rest in kept[: params.max_detections]]
    return rows, near


def assert_same(found, rows, names):
    assert found.class_ids.tolist() == [row[2] for row in rows]
    assert found.labels == tuple(names[row[2]] for row in rows)
    np.testing.assert_allclose(found.scores, [row[1] for row in rows], atol=1e-6)
    np.testing.assert_allclose(found.margins, [row[3] for row in rows], atol=1e-6)
    np.testing.assert_allclose(found.boxes, np.array([row[0] for row in rows]).reshape(-1, 4), rtol=1e-5, atol=1e-3)
    assert (found.boxes.dtype, found.scores.dtype, found.class_ids.dtype) == (np.float32, np.float32, np.int64)
    assert found.margins.dtype == np.float32


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    class_count=st.sampled_from([1, 2, 3, 80]),
    params=st.builds(
        PostprocessParams,
        score_threshold=st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.77]),
        iou_threshold=st.sampled_from([0.1, 0.45, 0.65, 1.0]),
        class_agnostic=st.booleans(),
        max_detections=st.sampled_from([1000, 7, 1]),
    ),
    best=st.sampled_from([None, None, 1, 100]),
    frame=st.sampled_from(
        [
            ImageTransform(96, 64, 1.0),
            ImageTransform(192, 128, 0.5),
            ImageTransform(40, 31, 2.0),
            ImageTransform(427, 640, 0.1),
        ]
    ),
    data=st.data(),
)
def test_the_plain_implementation_finds_the_same(seed, class_count, params, best, frame, data):  # noqa: PLR0917
    classes = data.draw(st.none() | st.lists(st.integers(0, class_count - 1), max_size=3))
    outputs = make_outputs(seed, class_count)
    names = names_of(class_count)
    rows, near = plain_detections(outputs, frame, params, classes, best)
    assume(not near)
    (found,) = postprocess(outputs, [frame], params, names, classes=classes, best=best)
    assert_same(found, rows, names)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    class_count=st.sampled_from([1, 4]),
    score_threshold=st.sampled_from([0.0, 0.3, 0.75]),
    best=st.sampled_from([None, 20]),
)
def test_networks_with_the_sigmoid_inside(seed, class_count, score_threshold, best):
    rng = np.random.default_rng(seed)
    outputs = make_outputs(seed, class_count)
    for name, values in outputs.items():
        if not name.startswith("reg"):
            values[:] = rng.uniform(0.5, 1, values.shape)
    params = PostprocessParams(score_threshold=score_threshold, activation="none")
    frame = ImageTransform(96, 64, 1.0)
    rows, near = plain_detections(outputs, frame, params, best=best)
    assume(not near)
    (found,) = postprocess(outputs, [frame], params, names_of(class_count), best=best)
    assert_same(found, rows, names_of(class_count))
    assert len(found) > 0


@pytest.mark.parametrize("strides", [(8, 16), (4,), (16, 8, 32)])
def test_strides_are_a_parameter(strides):
    params = PostprocessParams(strides)
    outputs = make_outputs(5, 2, strides=strides)
    frame = ImageTransform(96, 64, 1.0)
    rows, near = plain_detections(outputs, frame, params)
    assert rows
    assert not near
    assert_same(postprocess(outputs, [frame], params, names_of(2))[0], rows, names_of(2))


@pytest.mark.parametrize(("level", "stride"), list(enumerate(STRIDES)))
def test_one_cell_by_numbers(level, stride):
    outputs = empty_outputs()
    put(outputs, level, 1, 0, reg=(0.5, 0.25, 0, np.log(2)))
    (found,) = postprocess(outputs, [ImageTransform(640, 640, 0.5)], PostprocessParams(), ("hand",))
    # Centre (0.5, 1.25) cells, one cell wide and two high, in a picture twice as large as the input.
    np.testing.assert_allclose(found.boxes, [np.array([0, 0.25, 1, 2.25]) * stride * 2], rtol=1e-5)
    assert found.labels == ("hand",)
    assert found.scores[0] == found.margins[0] == pytest.approx(1 / (1 + np.exp(-10)) ** 2)


def test_a_batch_is_its_pictures_one_by_one():
    outputs = make_outputs(11, 3, batch=3)
    frames = [ImageTransform(96, 64, 1.0), ImageTransform(48, 32, 2.0), ImageTransform(300, 200, 0.3)]
    together = postprocess(outputs, frames, PostprocessParams(), names_of(3))
    assert len(together) == 3
    for index, (frame, found) in enumerate(zip(frames, together, strict=True)):
        one = {name: values[index : index + 1] for name, values in outputs.items()}
        (alone,) = postprocess(one, [frame], PostprocessParams(), names_of(3))
        assert len(found) > 5
        assert found.to_dict() == alone.to_dict()
        assert (found.boxes >= 0).all()
        assert (found.boxes <= [frame.width, frame.height] * 2).all()


def test_rows_of_a_batch_without_a_frame_are_padding():
    outputs = make_outputs(11, 3, batch=3)
    assert len(postprocess(outputs, [ImageTransform(96, 64, 1.0)], PostprocessParams(), names_of(3))) == 1
    assert postprocess(outputs, [], PostprocessParams(), names_of(3)) == []


def test_boxes_are_clipped_after_suppression():
    outputs = empty_outputs()
    # In the picture the same; before clipping, the second reaches far out of it.
    put(outputs, 0, 0, 0, logit=10, reg=(0, 0, 0, 0))
    put(outputs, 0, 7, 0, logit=9, reg=(0, -7, np.log(20), np.log(20)))
    (found,) = postprocess(outputs, [ImageTransform(4, 4, 1.0)], PostprocessParams(), ("hand",))
    assert found.boxes.tolist() == [[0, 0, 4, 4], [0, 0, 4, 4]]


def test_best_first_and_equal_scores_in_the_order_of_the_cells():
    outputs = empty_outputs()
    for level, row, column, logit in ((0, 5, 1, 3), (0, 2, 6, 3), (1, 2, 1, 4), (1, 0, 3, 3), (2, 1, 1, 3)):
        put(outputs, level, row, column, logit=logit)
    (found,) = postprocess(outputs, [ImageTransform(64, 64, 1.0)], PostprocessParams(), ("hand",))
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    np.testing.assert_allclose(centres[:4], [[16, 32], [48, 16], [8, 40], [48, 4]], atol=1e-4)
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert len(set(found.scores.tolist())) == 2


def test_of_equal_boxes_the_first_cell_wins():
    outputs = empty_outputs()
    put(outputs, 0, 0, 0, reg=(2, 2, 1, 1))
    put(outputs, 1, 0, 0, reg=(1, 1, 1 - np.log(2), 1 - np.log(2)))
    (found,) = postprocess(outputs, [ImageTransform(64, 64, 1.0)], ALL, ("hand",), best=2)
    assert len(found) == 2
    (found,) = postprocess(outputs, [ImageTransform(64, 64, 1.0)], PostprocessParams(), ("hand",))
    assert len(found) == 1


def test_equal_classes_go_to_the_first():
    outputs = empty_outputs(classes=3)
    put(outputs, 0, 1, 1, class_id=1)
    put(outputs, 0, 1, 1, class_id=2)
    (found,) = postprocess(outputs, [ImageTransform(64, 64, 1.0)], PostprocessParams(), names_of(3))
    assert found.labels == ("c1",)
    assert found.margins.tolist() == [0]


def test_class_agnostic():
    outputs = empty_outputs(classes=2)
    put(outputs, 0, 1, 1, logit=3, class_id=1)
    put(outputs, 0, 1, 2, logit=2, class_id=0, reg=(-1, 0, 0, 0))
    frame = [ImageTransform(64, 64, 1.0)]
    assert postprocess(outputs, frame, PostprocessParams(), names_of(2))[0].labels == ("c1", "c0")
    agnostic = PostprocessParams(class_agnostic=True)
    assert postprocess(outputs, frame, agnostic, names_of(2))[0].labels == ("c1",)
    # What is not reported suppresses nothing.
    assert postprocess(outputs, frame, agnostic, names_of(2), classes=[0])[0].labels == ("c0",)


def test_score_at_the_threshold_is_kept():
    outputs = empty_outputs()
    put(outputs, 1, 1, 1, logit=0.5)
    (found,) = postprocess(outputs, [ImageTransform(64, 64, 1.0)], PostprocessParams(score_threshold=0.2), ("hand",))
    score = float(found.scores[0])
    above = float(np.nextafter(found.scores[0], np.float32(1)))
    for threshold, count in ((score, 1), (above, 0)):
        params = PostprocessParams(score_threshold=threshold)
        assert len(postprocess(outputs, [ImageTransform(64, 64, 1.0)], params, ("hand",))[0]) == count


@pytest.mark.parametrize("threshold", [1e-6, 0.01, 0.3, 0.9, 0.999, 0.99999, 0.9999999, 1.0])
def test_ruling_out_by_objectness_rules_out_nothing_that_counts(threshold):
    """Objectness logits all around the threshold's, classes certain: the score alone decides."""
    near = np.log(threshold / (1 - threshold)) if threshold < 1 else 17.0
    logits = np.linspace(near - 0.2, near + 0.2, 4096, dtype=np.float32).reshape(1, 1, 64, 64)
    outputs = {"obj_0": logits, "cls_0": np.full_like(logits, 40), "reg_0": np.zeros((1, 4, 64, 64), np.float32)}
    params = replace(ALL, strides=(8,), score_threshold=threshold)
    expected = np.count_nonzero(sigmoid(logits) >= threshold)
    assert expected > 0
    assert len(postprocess(outputs, [ImageTransform(512, 512, 1.0)], params, ("hand",))[0]) == expected


def test_threshold_0_keeps_every_cell_and_1_only_certainty():
    outputs = make_outputs(2, 2)
    frame = [ImageTransform(96, 64, 1.0)]
    cells = 96 + 24 + 6
    assert len(postprocess(outputs, frame, ALL, names_of(2))[0]) == cells
    outputs["obj_0"][0, 0, 0, 0] = -np.inf
    (found,) = postprocess(outputs, frame, ALL, names_of(2))
    assert len(found) == cells
    assert found.scores[-1] == 0
    certain = replace(ALL, score_threshold=1.0)
    assert len(postprocess(outputs, frame, certain, names_of(2))[0]) == 0
    put(outputs, 0, 3, 3, logit=30)
    assert postprocess(outputs, frame, certain, names_of(2))[0].scores.tolist() == [1]


@pytest.mark.parametrize(
    "change",
    [
        {"score_threshold": 1.5},
        {"score_threshold": -0.1},
        {"score_threshold": float("nan")},
        {"iou_threshold": 2},
        {"max_detections": 0},
        {"strides": (8, 0)},
        {"activation": "softmax"},
    ],
)
def test_parameters_that_make_no_sense(change):
    with pytest.raises(ValueError, match=r"thresholds|strides|score_threshold|activation"):
        PostprocessParams(**change)


def test_best_takes_candidates_below_the_threshold():
    outputs = make_outputs(3, 1)
    strict = replace(ALL, score_threshold=0.99)
    frame = [ImageTransform(96, 64, 1.0)]
    assert len(postprocess(outputs, frame, strict, ("hand",))[0]) == 0
    (found,) = postprocess(outputs, frame, strict, ("hand",), best=100)
    everything = postprocess(outputs, frame, ALL, ("hand",))[0]
    assert len(found) == 100
    np.testing.assert_array_equal(found.scores, everything.scores[:100])
    # They are candidates: what overlaps is still suppressed.
    (fewer,) = postprocess(outputs, frame, replace(strict, iou_threshold=0.3), ("hand",), best=100)
    assert 0 < len(fewer) < 100


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("kind", ["cls", "reg", "obj"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_not_sane_do_not_raise(kind, value):
    outputs = make_outputs(4, 2)
    outputs[f"{kind}_0"][:] = value
    for params in (PostprocessParams(), ALL, replace(ALL, score_threshold=1.0)):
        (found,) = postprocess(outputs, [ImageTransform(96, 64, 1.0)], params, names_of(2))
        assert not np.isnan(found.scores).any()


@pytest.mark.parametrize("value", [-1e30, -200, 45, 200, 1e30])
@pytest.mark.filterwarnings("error")
def test_huge_logits_give_boxes_within_the_picture_without_a_warning(value):
    outputs = {name: np.full_like(values, value) for name, values in make_outputs(4, 2).items()}
    (found,) = postprocess(outputs, [ImageTransform(96, 64, 1.0)], PostprocessParams(), names_of(2))
    assert np.isfinite(found.boxes).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [96, 64, 96, 64]).all()


def test_boxes_of_boundless_size_suppress_each_other():
    outputs = empty_outputs()
    for column in range(4):
        put(outputs, 0, 0, column, reg=(0, 0, 100, 100))
    (found,) = postprocess(outputs, [ImageTransform(60, 50, 1.0)], PostprocessParams(), ("hand",))
    assert found.boxes.tolist() == [[0, 0, 60, 50]]


def test_nothing_found():
    (found,) = postprocess(empty_outputs(3), [ImageTransform(64, 64, 1.0)], PostprocessParams(), names_of(3))
    assert (found.boxes.shape, found.scores.shape, found.class_ids.shape) == ((0, 4), (0,), (0,))
    assert found.boxes.dtype == np.float32
    assert found.labels == ()
    assert found.to_dict() == {"detections": []}


def test_sigmoid():
    x = np.array([-np.inf, -1000, -1, 0, 1, 1000, np.inf], np.float32)
    expected = [0, 0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1, 1]
    np.testing.assert_allclose(sigmoid(x), expected, rtol=1e-6)
    assert sigmoid(x).dtype == np.float32


# Wider and higher than any golden's boxes, and shifted to where none is clipped.
ROOM = 10_000.0


def shifted(outputs, cells=512):
    """Move every box to the right and down, so that none begins outside of the picture."""
    moved = dict(outputs)
    for level, stride in enumerate(STRIDES):
        reg = outputs[f"reg_{level}"].astype(np.float32, copy=True)
        reg[:, :2] += cells * 8 / stride
        moved[f"reg_{level}"] = reg
    return moved, np.float32(cells * 8)


def in_cell_order(outputs):
    """Make scores that fall from cell to cell, so that boxes come out in the order of the cells."""
    counts = [outputs[f"reg_{level}"][0, 0].size for level in range(len(STRIDES))]
    falling = np.linspace(3, -3, sum(counts), dtype=np.float32)
    ordered = dict(outputs)
    for level, part in enumerate(np.split(falling, np.cumsum(counts)[:-1])):
        batch, _, height, width = outputs[f"reg_{level}"].shape
        ordered[f"obj_{level}"] = np.broadcast_to(part.reshape(1, 1, height, width), (batch, 1, height, width))
        ordered[f"cls_{level}"] = np.full((batch, 1, height, width), 9, np.float32)
    return ordered


@pytest.mark.parametrize("config", ["pai_s", "easycv_s_csp", "megvii_s", "megvii_nano"])
def test_boxes_are_those_that_upstream_decodes(golden_yolox, config):
    golden = golden_yolox(config, 0).outputs
    raw = {f"reg_{level}": golden[f"raw_reg_{level}"] for level in range(3)}
    decoded = golden["decoded" if "decoded" in golden else "decoded_box_obj"]
    outputs, shift = shifted(in_cell_order(raw))
    found = postprocess(outputs, [ImageTransform(ROOM, ROOM, 1.0)] * len(decoded), ALL, ("one",))
    for one, expected in zip(found, decoded, strict=True):
        assert len(one) == len(expected)
        centre, size = expected[:, :2] + shift, expected[:, 2:4]
        np.testing.assert_allclose(one.boxes, np.hstack([centre - size / 2, centre + size / 2]), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("config", ["pai_s", "easycv_s_csp"])
def test_scores_and_their_boxes_are_those_that_upstream_decodes(golden_yolox, config):
    golden = golden_yolox(config, 0).outputs
    outputs = {f"{kind}_{level}": golden[f"raw_{kind}_{level}"] for level in range(3) for kind in ("cls", "reg", "obj")}
    decoded = golden["decoded"]
    side = float(golden["input_shape"][-1])
    for one, rows in zip(
        postprocess(outputs, [ImageTransform(side, side, 1.0)] * 2, ALL, ("one",)), decoded, strict=True
    ):
        scores = rows[:, 4] * rows[:, 5]
        order = np.argsort(-scores, kind="stable")
        np.testing.assert_allclose(one.scores, scores[order], atol=1e-6)
        best = order[:50]
        corners = np.hstack([rows[best, :2] - rows[best, 2:4] / 2, rows[best, :2] + rows[best, 2:4] / 2])
        np.testing.assert_allclose(one.boxes[:50], np.clip(corners, 0, side), rtol=1e-5, atol=1e-3)


def test_objectness_is_what_upstream_decodes_for_80_classes(golden_yolox):
    golden = golden_yolox("megvii_s", 0).outputs
    outputs = {f"{kind}_{level}": golden[f"raw_{kind}_{level}"] for level in range(3) for kind in ("reg", "obj")}
    for level in range(3):
        batch, _, height, width = outputs[f"obj_{level}"].shape
        outputs[f"cls_{level}"] = np.full((batch, 80, height, width), -40, np.float32)
        outputs[f"cls_{level}"][:, 79] = 40
    for one, rows in zip(
        postprocess(outputs, [ImageTransform(640, 640, 1.0)] * 2, ALL, names_of(80)),
        golden["decoded_box_obj"],
        strict=True,
    ):
        np.testing.assert_allclose(one.scores, np.sort(rows[:, 4])[::-1], atol=1e-6)
        assert set(one.labels) == {"c79"}


def test_class_scores_are_those_that_upstream_decodes(golden_yolox):
    golden = golden_yolox("megvii_nano", 0).outputs
    # Every cell becomes a picture of its own with an objectness of 1, so that the score is the best class score.
    levels = [golden[f"raw_cls_{level}"].reshape(2, 80, -1) for level in range(3)]
    cls = np.concatenate(levels, axis=2).transpose(0, 2, 1).reshape(-1, 80, 1, 1)
    outputs = {
        "cls_0": cls,
        "obj_0": np.full((len(cls), 1, 1, 1), 40, np.float32),
        "reg_0": np.zeros((len(cls), 4, 1, 1), np.float32),
    }
    found = postprocess(outputs, [ImageTransform(8, 8, 1.0)] * len(cls), replace(ALL, strides=(8,)), names_of(80))
    scores = np.array([one.scores[0] for one in found])
    winners = np.array([one.class_ids[0] for one in found])

    # Upstream's class scores are kept at some places, as (cell, box + objectness + 80 classes).
    cell, column = np.divmod(golden["decoded_pos"], 5 + 80)
    is_class = column >= 5
    sampled, cell, class_id = golden["decoded_sample"][is_class], cell[is_class], column[is_class] - 5
    assert (scores[cell] >= sampled - 1e-6).all()
    won = winners[cell] == class_id
    assert won.sum() > 20
    np.testing.assert_allclose(scores[cell[won]], sampled[won], atol=1e-6)
