"""What a user names becomes a predictor: a file, a folder, a name, weights; what is none of them is told."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import cvport
from cvport import ArtifactError, BackendError, UsageError, VariantOptions, WeightsError
from cvport.exporters.export import make_seal
from cvport.models.registry import get_model, known_names
from cvport.models.weights.checkpoint import Checkpoint
from cvport.runtimes.load import _sealed_plan, find_exported_file, is_exported_file, load, prepare_network
from cvport.runtimes.predictor import Predictor
from cvport.runtimes.seal import KEY, read_seal
from helpers.detections import assert_same, take
from mutation.subjects import small_star, small_vit

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


# --- what a name means


def test_artifact_s_folder_is_taken(nano_artifact, tmp_path):
    folder = nano_artifact.onnx.parent
    for model in (folder, str(folder), f"{folder}/"):
        assert find_exported_file(model) == folder / "yolox.onnx"
    with load(folder, backend="onnx") as predictor:
        assert predictor.spec.name == "yolox"
    shutil.copy(nano_artifact.onnx, tmp_path / "renamed.onnx")
    assert find_exported_file(tmp_path) == tmp_path / "renamed.onnx", "the only one"


def test_folder_without_one_exported_file(tmp_path):
    with pytest.raises(ArtifactError, match=r"the folder .* holds no \.onnx file"):
        load(tmp_path, backend="onnx")
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"holds 2 \.onnx files \(a\.onnx, b\.onnx\)") as caught:
        load(str(tmp_path), backend="onnx")
    assert caught.value.hint == "Name the file itself: -m FILE.onnx"


def test_suffixed_name_is_looked_for_in_the_folder_of_artifacts(nano_artifact, tmp_path, monkeypatch):
    folder = tmp_path / "artifacts" / "yolox-e2e"
    folder.mkdir(parents=True)
    shutil.copy(nano_artifact.onnx, folder / "yolox-e2e.onnx")
    monkeypatch.chdir(tmp_path)
    assert is_exported_file("yolox-e2e")
    with load("yolox-e2e") as predictor:
        assert predictor.backend.name == "onnx"
    with load("yolox-e2e", backend="torch", weights=nano_artifact.weights) as predictor:
        assert predictor.preprocess_params.input_size == (160, 160), "what is sealed counts"
    with pytest.raises(ArtifactError, match="yolox-int8 has not been exported here: there is no artifacts/yolox-int8/"):
        load("yolox-int8", backend="onnx")


def test_model_s_name_wins_over_a_folder_of_that_name(nano_artifact, tmp_path, monkeypatch):
    (tmp_path / "yolox").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_exported_file("yolox") is None
    assert not is_exported_file("yolox")
    with pytest.raises(ArtifactError, match=r"the folder yolox holds no \.onnx file"):
        find_exported_file("./yolox")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_checkpoint_given_as_the_model(tmp_path, monkeypatch, backend, exists):
    monkeypatch.chdir(tmp_path)
    if exists:
        (tmp_path / "nano.pth").write_bytes(b"")
    for model in ("nano.pth", Path("nano.pth")):
        with pytest.raises(UsageError) as caught:
            load(model, backend=backend)
        assert caught.value.message == "nano.pth is a checkpoint, neither a model's name nor an exported file"
        assert "-m MODEL --weights nano.pth --backend torch" in caught.value.hint
        assert "yolox" in caught.value.hint


def test_what_is_no_exported_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"photo\.jpg is no exported file: its name does not end with \.onnx"):
        load("photo.jpg", backend="onnx")
    for model in ("gone/", "./gone", Path("gone")):
        with pytest.raises(ArtifactError, match=r"no such file: .*gone"):
            load(model, backend="onnx")
    for model in ("", "yolo", "~nobody-at-all", "a\0b"):
        with pytest.raises(UsageError, match="there is no model"):
            load(model, backend="onnx")


def test_file_with_an_unknown_seal_is_an_exported_file(with_seal):
    assert is_exported_file(with_seal())


def test_file_without_a_seal_says_so(with_seal):
    with pytest.raises(ArtifactError, match=r"resealed\.onnx was not made by cvexport: it has no 'cvport' metadata"):
        load(with_seal(), backend="onnx")


def test_file_of_a_newer_onnx(nano_artifact, tmp_path):
    model = onnx.load(nano_artifact.onnx)
    model.ir_version = 99
    path = tmp_path / "yolox.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    with pytest.raises(ArtifactError, match=r"has ONNX IR version 99; onnxruntime .* reads up to") as caught:
        load(path, backend="onnx")
    assert "pip install --upgrade onnxruntime" in caught.value.hint


def test_weights_that_do_not_exist_are_not_other_weights(nano_artifact, tmp_path):
    with pytest.raises(WeightsError) as caught:
        load(nano_artifact.onnx, backend="onnx", weights=tmp_path / "gone.pth")
    assert caught.value.message == f"no weights at {tmp_path / 'gone.pth'}"


def test_folder_of_the_weights_that_the_file_was_made_from(nano_artifact, tmp_path):
    shutil.copy(nano_artifact.weights, tmp_path / "model.pth")
    with load(nano_artifact.onnx, backend="onnx", weights=tmp_path) as predictor:
        assert predictor.seal is not None


def test_foreign_outputs_are_refused_and_the_session_is_closed(with_seal, monkeypatch):
    closed = []
    monkeypatch.setattr("cvport.runtimes.backends.onnx.OnnxBackend.close", lambda _self: closed.append("session"))
    with pytest.raises(ArtifactError, match="has not the inputs and outputs of landmarks68"):
        load(with_seal(model="landmarks68"), backend="onnx")
    assert closed == ["session"]


# --- what is assumed


def test_guesses_are_told(nano_artifact):
    options = VariantOptions(input_size=(160, 160))
    with load("yolox", backend="torch", weights=nano_artifact.weights, options=options) as predictor:
        assert predictor.assumed == ("activation silu (model default)", "preprocess megvii (Megvii wrapping)")
        assert predictor.preprocess_params.convention == "megvii"
    options = VariantOptions(input_size=(160, 160), preprocess="easycv", activation="silu")
    with load("yolox", backend="torch", weights=nano_artifact.weights, options=options) as predictor:
        assert predictor.assumed == ()
        assert predictor.preprocess_params.convention == "easycv"


def test_file_tells_what_was_guessed_when_it_was_made(nano_artifact, with_seal):
    sealed = read_seal(nano_artifact.onnx).weights
    guess = "preprocess megvii (Megvii wrapping)"
    with load(with_seal(weights={**sealed, "assumed": [guess]}), backend="onnx") as predictor:
        assert predictor.assumed == (guess,)
    with pytest.raises(ArtifactError, match="which is not a list of texts"):
        load(with_seal(weights={**sealed, "assumed": guess}), backend="onnx")


def test_file_tells_its_convention(predictor):
    assert predictor.assumed == ()
    assert predictor.preprocess_params.convention == "megvii"


# --- a network and what it was built from


def test_prepared_network(nano_artifact):
    spec = cvport.get_model("yolox")
    prepared = prepare_network(spec, nano_artifact.weights, VariantOptions(input_size=(96, 96)))
    assert prepared.plan.input_size == (96, 96)
    assert prepared.checkpoint.origin == str(nano_artifact.weights)
    assert tuple(prepared.network(torch.zeros(1, 3, 96, 96))) == spec.output_names


def test_prepared_network_of_a_file_follows_its_seal(with_seal, nano_artifact, tmp_path):
    spec = cvport.get_model("yolox")
    path = with_seal(labels=["a", "b", "c"])
    seal = read_seal(path)
    plan = prepare_network(spec, nano_artifact.weights, seal=seal, path=path).plan
    assert plan.input_size == plan.preprocess.input_size == (160, 160)
    assert plan.labels == ("a", "b", "c")
    with pytest.raises(WeightsError, match="seeded:0 are not the weights that the file was made from"):
        prepare_network(spec, "seeded", seal=seal)


# --- the weights of a file


@pytest.mark.parametrize("name", known_names())
def test_plan_of_a_sealed_file_is_that_of_its_export(name):
    spec = get_model(name)
    small = {"emotion": small_vit, "landmarks68": small_star}.get(name, lambda: None)()
    state = {key: torch.from_numpy(value) for key, value in spec.seeded(0, small).items()}
    checkpoint = Checkpoint(state, "seeded", "0" * 64)
    plan = spec.plan(checkpoint)
    seal = make_seal(spec, checkpoint, plan, "dynamic", {"cvport": "0"})
    again = _sealed_plan(spec, checkpoint, seal, "some.onnx")
    assert (again.variant, again.input_size, again.labels) == (plan.variant, plan.input_size, plan.labels)
    assert (again.preprocess, again.postprocess) == (plan.preprocess, plan.postprocess)
