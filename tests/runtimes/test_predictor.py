"""From pictures to results: one, many, on either backend, from a file or a name, with other thresholds."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cvport
import numpy as np
import onnx
import pytest
import torch
from cvport import ArtifactError, BackendError, InputError, UsageError, VariantOptions, WeightsError
from cvport.runtimes.predictor import Predictor, Timing, View, load
from cvport.runtimes.seal import KEY

CONF = 0.15


@pytest.fixture(scope="module")
def predictor(nano_artifact):
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def one_by_one(predictor, pictures):
    return [predictor(picture) for picture in pictures]


def assert_same(found, expected, pixels=1e-3, scores=1e-5):
    assert found.labels == expected.labels
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=scores)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=pixels)


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
        assert fixed.prepare([View(picture) for picture in pictures[:2]])[0][1].any()
        inputs, frames = fixed.prepare([View(pictures[2])])
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
    assert_same(found(score_threshold=CONF, max_detections=2), _take(expected, slice(0, 2)))
    many = len(found(score_threshold=0.02))
    assert len(found(score_threshold=0.02, iou_threshold=1.0)) > many
    assert len(found(score_threshold=0.02, iou_threshold=0.3)) < many
    assert len(found(score_threshold=0.02, class_agnostic=True)) < many


def _take(result, index):
    ids = result.class_ids[index]
    return cvport.Detections(result.boxes[index], result.scores[index], ids, tuple(f"class_{i}" for i in ids))


@pytest.mark.parametrize(("names", "ids"), [(["class_1"], [1]), (["2", "class_0"], [2, 0]), (["1"], [1])])
def test_classes_by_name_and_number(nano_artifact, pictures, one_by_one, names, ids):
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF, classes=names) as some:
        assert some.classes == ids
        results = some.predict_batch(pictures)
    assert sum(map(len, results)) > 0
    for result, expected in zip(results, one_by_one, strict=True):
        assert_same(result, _take(expected, np.isin(expected.class_ids, ids)))


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


# --- what is loaded


def test_attributes(predictor, nano_artifact):
    assert isinstance(predictor, Predictor)
    assert predictor.spec.name == "yolox"
    assert predictor.labels == ("class_0", "class_1", "class_2")
    assert predictor.preprocess_params.convention == "megvii"
    assert predictor.preprocess_params.input_size == (160, 160)
    assert predictor.untrained is False
    assert predictor.seal.weights["origin"] == nano_artifact.weights.name
    assert predictor.classes is None


def test_file_as_text_or_path_and_auto(nano_artifact, predictor, pictures, one_by_one):
    for model in (nano_artifact.onnx, str(nano_artifact.onnx)):
        with load(model, score_threshold=CONF) as other:
            assert other.backend.name == "onnx"
            assert_same(other(pictures[0]), one_by_one[0], 0, 0)


def test_name_is_looked_for_in_the_folder_of_artifacts(nano_artifact, tmp_path, monkeypatch, pictures, one_by_one):
    folder = tmp_path / "elsewhere" / "yolox"
    shutil.copytree(nano_artifact.onnx.parent, folder)
    with load("yolox", backend="onnx", score_threshold=CONF, artifacts=folder.parent) as named:
        assert_same(named(pictures[0]), one_by_one[0], 0, 0)
    folder.parent.rename(tmp_path / "artifacts")
    monkeypatch.chdir(tmp_path)
    with load("yolox", score_threshold=CONF) as named:
        assert_same(named(pictures[0]), one_by_one[0], 0, 0)


def test_name_that_was_not_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = str(Path("artifacts/yolox/yolox.onnx"))
    with pytest.raises(
        ArtifactError, match=f"yolox has not been exported here: there is no {re.escape(expected)}"
    ) as c:
        load("yolox", backend="onnx")
    assert c.value.exit_code == 4
    assert "cvexport yolox" in c.value.hint
    assert "--weights seeded" in c.value.hint


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_unknown_model(backend):
    with pytest.raises(UsageError, match="there is no model 'yolo'") as caught:
        load("yolo", backend=backend, weights="seeded")
    assert caught.value.hint == "Did you mean 'yolox'?"


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_missing_file(tmp_path, backend):
    with pytest.raises(ArtifactError, match=r"no such file: .*gone\.onnx"):
        load(tmp_path / "gone.onnx", backend=backend)


def test_backend_is_looked_at_first(tmp_path):
    for changes in ({"backend": "npu"}, {"backend": "onnx", "device": "npu:0"}, {"device": "tpu"}):
        with pytest.raises(BackendError):
            load(
                tmp_path / "gone.onnx", options=VariantOptions(activation="no"), classes=["no"], weights="no", **changes
            )


OPTIONS = [
    VariantOptions(input_size=(160, 160)),
    VariantOptions(preprocess="megvii"),
    VariantOptions(activation="silu"),
    VariantOptions(labels=("a", "b", "c")),
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_options_do_not_change_an_exported_file(nano_artifact, backend, options):
    with pytest.raises(UsageError, match="fixed in an exported file") as caught:
        load(nano_artifact.onnx, backend=backend, weights=nano_artifact.weights, options=options)
    assert caught.value.hint


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_foreign_file(with_seal, nano_artifact, backend):
    with pytest.raises(ArtifactError, match="was not made by cvexport"):
        load(with_seal(), backend=backend, weights=nano_artifact.weights)


def test_damaged_seals(with_seal):
    for text in ("", "{", "[]"):
        with pytest.raises(ArtifactError, match="cannot be read"):
            load(with_seal(text), backend="onnx")
    with pytest.raises(ArtifactError, match="schema 2, this version reads 1"):
        load(with_seal(schema_version=2), backend="onnx")
    with pytest.raises(ArtifactError, match="a model unknown to this version"):
        load(with_seal(model="frcnn"), backend="onnx")
    with pytest.raises(ArtifactError, match=r"the sealed preprocessing of .* does not fit PreprocessParams"):
        load(with_seal(preprocess={"input_size": [160, 160]}), backend="onnx")
    with pytest.raises(ArtifactError, match=r"the sealed postprocessing of .* does not fit PostprocessParams"):
        load(with_seal(postprocess={}), backend="onnx")


def test_sealed_parameters_are_the_ones_that_count(with_seal, nano_artifact, predictor, pictures):
    sealed = predictor.seal.preprocess | {"colour": "rgb"}
    with load(with_seal(preprocess=sealed), backend="onnx", score_threshold=CONF) as swapped:
        result = swapped(np.ascontiguousarray(pictures[0][..., ::-1]))
    assert_same(result, predictor(pictures[0]), 0, 0)


def test_weights_that_are_not_numbers(nan_artifact, pictures):
    with (
        load(nan_artifact, backend="onnx") as broken,
        pytest.raises(ArtifactError, match="not finite in cls_0") as caught,
    ):
        broken(pictures[0])
    assert caught.value.exit_code == 4
    assert "export again" in caught.value.hint


def test_infinite_output_is_found_wherever_it_is(predictor, pictures, monkeypatch):
    run = predictor.backend.run

    def spoiled(inputs):
        outputs = run(inputs)
        outputs["obj_2"][-1, 0, -1, -1] = -np.inf
        return outputs

    monkeypatch.setattr(predictor.backend, "run", spoiled)
    with pytest.raises(ArtifactError, match=r"not finite in obj_2\n"):
        predictor(pictures[0])


def test_untrained_is_told(with_seal, predictor):
    with load(with_seal(weights=predictor.seal.weights | {"untrained": True}), backend="onnx") as made_up:
        assert made_up.untrained is True


# --- torch


def test_file_with_its_weights_runs_on_torch(nano_artifact, pictures, one_by_one):
    with load(nano_artifact.onnx, backend="torch", weights=nano_artifact.weights, score_threshold=CONF) as network:
        assert network.backend.name == "torch"
        assert network.seal is not None
        for result, expected in zip(network.predict_batch(pictures), one_by_one, strict=True):
            assert_same(result, expected, 0.01, 1e-4)


def test_file_of_a_fixed_batch_runs_on_torch(nano_batch_2, pictures, one_by_one):
    with load(nano_batch_2.onnx, backend="torch", weights=nano_batch_2.weights, score_threshold=CONF) as network:
        for result, expected in zip(network.predict_batch(pictures[:3]), one_by_one, strict=False):
            assert_same(result, expected, 0.01, 1e-4)


def test_file_on_torch_needs_weights(nano_artifact):
    with pytest.raises(WeightsError, match=r"torch runs the network, not yolox\.onnx, and needs the weights") as caught:
        load(nano_artifact.onnx, backend="torch")
    assert caught.value.exit_code == 4
    model = onnx.load(nano_artifact.onnx)
    (sealed,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == KEY)
    assert f"--weights FILE (nano.pth, sha256 {sealed['weights']['sha256']})" in caught.value.hint


def test_file_on_torch_with_other_weights(nano_artifact, tmp_path):
    content = torch.load(nano_artifact.weights, weights_only=True)
    content["model"]["head.obj_preds.0.bias"] += 1
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(
        WeightsError, match=r"other\.pth are not the weights that .*yolox\.onnx was made from"
    ) as caught:
        load(nano_artifact.onnx, backend="torch", weights=tmp_path / "other.pth")
    assert len(re.findall(r"[0-9a-f]{64}", caught.value.hint)) == 2


def test_name_on_torch_is_built_from_weights_and_options(nano_artifact, pictures, one_by_one):
    options = VariantOptions(input_size=(160, 160), labels=("x", "y", "z"))
    with load(
        "yolox", backend="torch", weights=nano_artifact.weights, options=options, score_threshold=CONF, classes=["y"]
    ) as network:
        assert network.seal is None
        assert network.untrained is False
        results = network.predict_batch(pictures)
    assert {label for result in results for label in result.labels} == {"y"}
    for result, found in zip(results, one_by_one, strict=True):
        expected = _take(found, found.class_ids == 1)
        assert_same(replace(result, labels=expected.labels), expected, 0.01, 1e-4)


def test_name_on_torch_with_missing_weights(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        load("yolox", backend="torch", weights=tmp_path / "gone.pth")


# --- timing and closing


def test_timing(predictor, pictures):
    results, timing = predictor.predict_timed(pictures[:3])
    assert len(results) == 3
    assert isinstance(timing, Timing)
    assert all(0 < ms < 60_000 for ms in timing)


def test_timing_is_a_picture_s_mean(predictor, pictures, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr("cvport.runtimes.predictor.time.perf_counter", lambda: next(ticks))
    _, timing = predictor.predict_timed(pictures)
    assert timing == pytest.approx([2 * 1000 / 11] * 3), "two pieces of one tick a stage"


def test_timing_of_nothing(predictor):
    assert predictor.predict_timed([]) == ([], (0, 0, 0))


def test_nothing_runs_after_closing(nano_artifact, pictures):
    with load(nano_artifact.onnx) as closed:
        closed(pictures[0])
    with pytest.raises(AttributeError):
        closed(pictures[0])


def test_weights_that_the_file_was_not_made_from_are_refused(nano_artifact, tmp_path):
    with cvport.load(nano_artifact.onnx, backend="onnx", weights=nano_artifact.weights) as predictor:
        assert predictor.seal.weights["origin"] == nano_artifact.weights.name
    other = tmp_path / "other.pth"
    other.write_bytes(nano_artifact.weights.read_bytes() + b" ")
    for wrong in (other, "seeded", "hf:org/model"):
        with pytest.raises(WeightsError, match="was made from") as error:
            cvport.load(nano_artifact.onnx, backend="onnx", weights=wrong)
        assert "cvexport yolox --weights" in error.value.hint
    with pytest.raises(WeightsError, match=r"^no weights at nowhere\.pth"):
        cvport.load(nano_artifact.onnx, backend="onnx", weights="nowhere.pth")
