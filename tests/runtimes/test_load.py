"""What a user names becomes a predictor: a file, a folder, a name, weights; what is none of them is told."""

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
from cvport import ArtifactError, BackendError, UsageError, VariantOptions, WeightsError
from cvport.runtimes.load import load
from cvport.runtimes.predictor import Predictor
from cvport.runtimes.seal import KEY
from helpers.detections import assert_same, take

CONF = 0.15


@pytest.fixture(scope="module")
def predictor(nano_artifact):
    with load(nano_artifact.onnx, backend="onnx", score_threshold=CONF) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def one_by_one(predictor, pictures):
    return [predictor(picture) for picture in pictures]


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
    with pytest.raises(ArtifactError, match="schema 3, this version reads 1 and 2"):
        load(with_seal(schema_version=3), backend="onnx")
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
        expected = take(found, found.class_ids == 1)
        assert_same(replace(result, labels=expected.labels), expected, 0.01, 1e-4)


def test_name_on_torch_with_missing_weights(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        load("yolox", backend="torch", weights=tmp_path / "gone.pth")


def test_weights_that_the_file_was_not_made_from_are_refused(nano_artifact, tmp_path):
    with cvport.load(nano_artifact.onnx, backend="onnx", weights=nano_artifact.weights) as predictor:
        assert predictor.seal.weights["origin"] == nano_artifact.weights.name
    other = tmp_path / "other.pth"
    other.write_bytes(nano_artifact.weights.read_bytes() + b" ")
    for wrong in (other, "seeded", "hf:org/model"):
        with pytest.raises(WeightsError, match="was made from") as error:
            cvport.load(nano_artifact.onnx, backend="onnx", weights=wrong)
        assert "cvexport yolox --weights" in error.value.hint
