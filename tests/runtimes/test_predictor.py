"""From pictures to results: one, many, on either backend, from a file or a name, with other thresholds."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cvport
from cvport import InputError, UsageError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.job import Region, Timing
from cvport.runtimes.load import load
from helpers.detections import assert_same, take

CONF = 0.15


@pytest.fixture(scope="module")
def predictor(nano_artifact):
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def one_by_one(predictor, pictures):
    return [predictor(picture) for picture in pictures]


# --- pictures


def test_result_of_an_array(predictor, one_by_one, pictures):
    assert all(len(result) > 3 for result in one_by_one), "something to compare"
    for picture, result in zip(pictures, one_by_one, strict=True):
        height, width = picture.shape[:2]
        assert (result.scores >= CONF).all()
        assert (np.diff(result.scores) <= 0).all()
        assert result.boxes.dtype == np.float32
        assert (result.boxes >= 0).all()
        assert (result.boxes <= (width, height, width, height)).all()
        assert result.labels == tuple(f"class_{i}" for i in result.class_ids)


def test_path_and_array_give_the_same(predictor, write_picture):
    path = write_picture("a.png")
    expected = predictor(cvport.read_image(path))
    for source in (path, str(path)):
        assert_same(predictor(source), expected, 0, 0)


def test_picture_is_not_changed(predictor, pictures):
    picture = pictures[0].copy()
    picture.flags.writeable = False
    predictor(picture)
    np.testing.assert_array_equal(picture, pictures[0])


def test_picture_of_any_memory_layout(predictor, pictures, one_by_one):
    turned = np.asfortranarray(pictures[1])
    assert_same(predictor(turned), one_by_one[1], 0, 0)
    wide = np.repeat(pictures[1], 2, axis=1)[:, ::2]
    assert_same(predictor(wide), one_by_one[1], 0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 1), (3, 700)])
def test_tiny_and_elongated_pictures(predictor, shape):
    result = predictor(np.full((*shape, 3), 90, np.uint8))
    assert (result.boxes <= (shape[1], shape[0], shape[1], shape[0])).all()


@pytest.mark.parametrize(
    "image", [None, 3, b"a.png", [[0, 0, 0]], np.zeros((5, 5)), np.zeros((5, 5, 3)), np.zeros((5, 5, 4), np.uint8)]
)
def test_what_is_no_picture(predictor, image):
    with pytest.raises(InputError, match="an image"):
        predictor(image)


def test_missing_picture(predictor):
    with pytest.raises(InputError, match="no such file"):
        predictor("gone.jpg")


# --- batches


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9, 11])
def test_batch_equals_one_by_one(predictor, pictures, one_by_one, count):
    results = predictor.predict_batch(pictures[:count])
    assert len(results) == count
    for result, expected in zip(results, one_by_one, strict=False):
        assert_same(result, expected)


def test_batch_mixes_paths_and_arrays(predictor, pictures, one_by_one, write_picture):
    path = write_picture("a.png")
    first, second = predictor.predict_batch([path, pictures[2]])
    assert_same(first, predictor(path))
    assert_same(second, one_by_one[2])


def test_large_batch_runs_in_pieces(predictor, pictures, monkeypatch):
    rows = []
    run = predictor.backend.run

    def spy(inputs):
        rows.append(len(inputs["input"]))
        return run(inputs)

    monkeypatch.setattr(predictor.backend, "run", spy)
    predictor.predict_batch(pictures)
    assert rows == [8, 3]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_file_of_a_fixed_batch(nano_batch_2, pictures, one_by_one, count):
    with load(nano_batch_2.onnx, backend="onnx", score_threshold=CONF) as fixed:
        assert fixed.seal.batch == 2
        results = fixed.predict_batch(pictures[:count])
    assert len(results) == count
    for result, expected in zip(results, one_by_one, strict=False):
        assert_same(result, expected)


def test_rest_of_a_fixed_batch_is_zero(nano_batch_2, pictures):
    with load(nano_batch_2.onnx, backend="onnx") as fixed:
        assert fixed.prepare([Region(picture) for picture in pictures[:2]])[0][1].any()
        inputs, frames = fixed.prepare([Region(pictures[2])])
    assert inputs.shape == (2, 3, 160, 160)
    assert inputs[0].any()
    assert not inputs[1].any()
    assert len(frames) == 1


# --- thresholds and classes


def test_thresholds_are_the_sealed_ones_unless_given(nano_artifact):
    with load(nano_artifact.onnx, backend="onnx") as plain:
        sealed = plain.postprocess_params
        assert (sealed.score_threshold, sealed.iou_threshold, sealed.max_detections) == (0.3, 0.65, 1000)
    changes = {"score_threshold": 0.0, "iou_threshold": 0.0, "max_detections": 1, "class_agnostic": True}
    with load(nano_artifact.onnx, backend="onnx", **changes) as changed:
        assert changed.postprocess_params == replace(sealed, **changes)


def test_thresholds_act(nano_artifact, predictor, pictures, one_by_one):
    def found(**changes):
        with load(nano_artifact.onnx, backend="onnx", **changes) as other:
            return other(pictures[0])

    expected = one_by_one[0]
    assert len(found(score_threshold=1.0)) == 0
    middle = float(expected.scores[len(expected) // 2])
    assert len(found(score_threshold=middle)) == (expected.scores >= middle).sum()
    assert_same(found(score_threshold=CONF, max_detections=2), take(expected, slice(0, 2)))
    many = len(found(score_threshold=0.02))
    assert len(found(score_threshold=0.02, iou_threshold=1.0)) > many
    assert len(found(score_threshold=0.02, iou_threshold=0.3)) < many
    assert len(found(score_threshold=0.02, class_agnostic=True)) < many


@pytest.mark.parametrize(("names", "ids"), [(["class_1"], [1]), (["2", "class_0"], [2, 0]), (["1"], [1])])
def test_classes_by_name_and_number(nano_artifact, pictures, one_by_one, names, ids):
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF, classes=names) as some:
        assert some.classes == ids
        results = some.predict_batch(pictures)
    assert sum(map(len, results)) > 0
    for result, expected in zip(results, one_by_one, strict=True):
        assert_same(result, take(expected, np.isin(expected.class_ids, ids)))


def test_label_that_is_a_number_wins_over_the_number(with_seal, nano_artifact):
    with load(with_seal(labels=["2", "b", "c"]), backend="onnx", classes=["2", "1"]) as odd:
        assert odd.classes == [0, 1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("clas_1", "Did you mean 'class_1'?"),
        ("3", "Known: class_0"),
        ("²", "Known: class_0"),
        ("", "Known"),
        ("-1", ""),
    ],
)
def test_unknown_class(nano_artifact, name, hint):
    with pytest.raises(UsageError, match=f"there is no class '{name}'") as caught:
        load(nano_artifact.onnx, backend="onnx", classes=["class_0", name])
    assert hint in caught.value.hint


@pytest.mark.parametrize("names", ["CLASS_1", ["Class_1"], [1], ("1",)])
def test_classes_in_any_case_and_as_numbers(nano_artifact, names):
    with load(nano_artifact.onnx, backend="onnx", classes=names) as some:
        assert some.classes == [1]


def test_exact_name_wins_over_the_same_in_another_case(with_seal):
    path = with_seal(labels=["Hand", "hand", "face"])
    for names, ids in ((["hand"], [1]), (["Hand"], [0]), (["HAND"], [0, 1]), (["HAND", "hand"], [0, 1])):
        with load(path, backend="onnx", classes=names) as some:
            assert some.classes == ids


def test_classes_by_the_names_that_are_printed(with_seal):
    path = with_seal(labels=["face", "hand", "person"])
    with load(path, backend="onnx", classes=["人手", "Face"]) as some:
        assert some.classes == [1, 0]
    with pytest.raises(UsageError, match="there is no class '脚'"):
        load(path, backend="onnx", classes=["脚"])


def test_thresholds_of_one_call(predictor, pictures, one_by_one):
    before = predictor.postprocess_params
    expected = one_by_one[0]
    middle = float(expected.scores[len(expected) // 2])
    assert len(predictor(pictures[0], score_threshold=middle)) == (expected.scores >= middle).sum()
    assert len(predictor(pictures[0], score_threshold=0.02, iou_threshold=1.0)) > len(
        predictor(pictures[0], score_threshold=0.02, iou_threshold=0.3)
    )
    (one,) = predictor.predict_batch(pictures[:1], score_threshold=1.0)
    assert len(one) == 0
    assert predictor.postprocess_params is before
    assert_same(predictor(pictures[0]), expected, 0, 0)


def test_thresholds_may_be_set(nano_artifact, pictures, one_by_one):
    with load(nano_artifact.onnx, backend="onnx") as other:
        assert (other.score_threshold, other.iou_threshold) == (0.3, 0.65)
        other.score_threshold = CONF
        assert_same(other(pictures[0]), one_by_one[0], 0, 0)
        other.iou_threshold = 0.3
        assert (other.postprocess_params.score_threshold, other.postprocess_params.iou_threshold) == (CONF, 0.3)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "high", [0.5]])
def test_thresholds_that_make_no_sense(predictor, pictures, value):
    before = predictor.postprocess_params
    with pytest.raises(UsageError, match="make no sense"):
        predictor(pictures[0], score_threshold=value)
    with pytest.raises(UsageError, match="make no sense"):
        predictor.iou_threshold = value
    assert predictor.postprocess_params is before


def test_attribute_that_does_not_exist(predictor):
    with pytest.raises(AttributeError):
        predictor.score_treshold = 0.1


# --- what cannot be used


def test_one_missing_file_does_not_lose_the_rest(predictor, pictures, one_by_one):
    images = [pictures[0], "gone.jpg", pictures[1], None]
    with pytest.raises(InputError, match=r"no such file: gone\.jpg"):
        predictor.predict_batch(images)
    first, gone, second, none = predictor.predict_batch(images, on_error="return")
    assert_same(first, one_by_one[0])
    assert_same(second, one_by_one[1])
    assert isinstance(gone, InputError)
    assert "gone.jpg" in gone.message
    assert isinstance(none, InputError)


def test_nothing_that_can_be_used(predictor):
    results, timing = predictor.predict_timed(["gone.jpg"] * 9, on_error="return")
    assert [type(result) for result in results] == [InputError] * 9
    assert timing == Timing(0, 0, 0, warmup=False)


def test_fixed_batch_with_a_missing_file(nano_batch_2, pictures, one_by_one):
    with load(nano_batch_2.onnx, backend="onnx", score_threshold=CONF) as fixed:
        first, gone, second = fixed.predict_batch([pictures[0], "gone.jpg", pictures[1]], on_error="return")
    assert isinstance(gone, InputError)
    assert_same(first, one_by_one[0])
    assert_same(second, one_by_one[1])


def test_unknown_way_with_errors(predictor, pictures):
    with pytest.raises(UsageError, match="there is no on_error 'ignore'"):
        predictor.predict_batch(pictures[:1], on_error="ignore")


# --- timing and closing


def test_timing(predictor, pictures):
    results, timing = predictor.predict_timed(pictures[:3])
    assert len(results) == 3
    assert isinstance(timing, Timing)
    assert all(0 < ms < 60_000 for ms in timing[:3])


def test_timing_is_a_picture_s_mean(predictor, pictures, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr("cvport.runtimes.predictor.time.perf_counter", lambda: next(ticks))
    _, timing = predictor.predict_timed(pictures)
    assert timing[:3] == pytest.approx([2 * 1000 / 11] * 3), "two pieces of one tick a stage"


def test_timing_is_that_of_the_images_that_ran(predictor, pictures, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr("cvport.runtimes.predictor.time.perf_counter", lambda: next(ticks))
    _, timing = predictor.predict_timed([pictures[0], "gone.jpg", pictures[1]], on_error="return")
    assert timing[:3] == pytest.approx([1000 / 2] * 3)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_first_run_of_a_shape_is_marked(nano_artifact, pictures, monkeypatch, backend):
    with load(nano_artifact.onnx, backend=backend, weights=nano_artifact.weights) as fresh:
        runs = []
        run = fresh.backend.run
        monkeypatch.setattr(fresh.backend, "run", lambda inputs: runs.append(len(inputs["input"])) or run(inputs))
        marked = [fresh.predict_timed(pictures[:count])[1].warmup for count in (1, 1, 2, 2, 1, 10)]
    assert marked == [True, False, True, False, False, True]
    assert runs == [1, 1, 2, 2, 1, 8, 2], "no extra run is made"


def test_timing_of_nothing(predictor):
    assert predictor.predict_timed([]) == ([], Timing(0, 0, 0, warmup=False))


def test_nothing_runs_after_closing(nano_artifact, pictures):
    with load(nano_artifact.onnx) as closed:
        lane = closed.lane()
        closed(pictures[0])
    for predictor in (closed, lane):
        with pytest.raises(UsageError, match="this predictor of yolox is closed"):
            predictor(pictures[0])
    closed.close()


# --- threads


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_threads_that_share_a_predictor_get_their_own_results(nano_artifact, pictures, backend):
    options = {"weights": nano_artifact.weights} if backend == "torch" else {"threads": 1}
    with load(nano_artifact.onnx, backend=backend, score_threshold=0.01, **options) as predictor:
        expected = [predictor(picture).to_dict() for picture in pictures]
        work = [number % len(pictures) for number in range(40)]
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda number: predictor(pictures[number]).to_dict(), work))
    assert found == [expected[number] for number in work]
    assert len({str(result) for result in expected}) > 1


def test_a_failure_in_one_thread_does_not_keep_others_waiting(nano_artifact, pictures, monkeypatch):
    with load(nano_artifact.onnx, backend="onnx", threads=1) as predictor:
        with monkeypatch.context() as patch:
            patch.setattr(type(predictor.backend), "run", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                predictor(pictures[0])
        assert predictor(pictures[0]) is not None


# --- streams


def test_stream_yields_items_with_their_results(tmp_path, nano_artifact):
    for seed in range(5):
        Image.fromarray(scene(60, 80, seed=seed)).save(tmp_path / f"{seed}.png")
    (tmp_path / "3.png").write_text("no image")
    with load(nano_artifact.onnx, backend="onnx", threads=1, score_threshold=0.01) as predictor:
        got = list(predictor.stream(tmp_path, on_error="return"))
        assert [Path(item.name).name for item, _ in got] == [f"{number}.png" for number in range(5)]
        assert isinstance(got[3][1], InputError)
        expected = predictor(tmp_path / "4.png")
        np.testing.assert_array_equal(got[4][1].boxes, expected.boxes)
        assert len(expected) > 0
        with pytest.raises(InputError, match="known format"):
            list(predictor.stream([tmp_path / "3.png"]))
        with pytest.raises(UsageError, match="no on_error"):
            next(predictor.stream(tmp_path, on_error="ignore"))


def test_lanes_share_the_backend_and_nothing_that_changes(nano_artifact):
    with load(nano_artifact.onnx, backend="onnx", threads=1) as predictor:
        lane = predictor.lane()
        assert lane.backend is predictor.backend
        predictor.score_threshold = 0.7
        assert lane.score_threshold != 0.7
        first, _ = predictor.prepare([Region(scene(60, 80, seed=0))])
        kept = first.copy()
        lane.prepare([Region(scene(60, 80, seed=1))])
        np.testing.assert_array_equal(first, kept)
