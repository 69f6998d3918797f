"""Reading checkpoints: every wrapping, every way to be damaged, and nothing is executed."""

import hashlib
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cvport.errors import CvportError, UsageError, WeightsError
from cvport.models.registry import get_model
from cvport.models.weights.checkpoint import unwrap
from cvport.models.weights.files import open_weights

SPEC = get_model("yolox")
KEYS = ["head.stems.0.conv.weight", "head.stems.0.bn.running_mean"]


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {key: torch.randn(2, 3) for key in KEYS}


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def jsonplus_tuple(*items):
    return {"__class__": "tuple", "__value__": list(items)}


def assert_read(checkpoint, state, wrapper=""):
    assert list(checkpoint.state) == list(state)
    assert all(torch.equal(checkpoint.state[key], value) for key, value in state.items())
    assert checkpoint.wrapper == wrapper
    assert not checkpoint.untrained


def error_of(weights, kind=WeightsError, **options):
    with pytest.raises(CvportError) as caught:
        open_weights(SPEC, weights, **options)
    assert type(caught.value) is kind
    assert caught.value.hint
    return caught.value.message


# Wrappings


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "avg_model.", "module._orig_mod.model."])
@pytest.mark.parametrize(
    ("wrapper", "beside"),
    [
        ("", {}),
        ("model", {"start_epoch": 300, "optimizer": {"state": {}}, "best_ap": 0.4}),
        ("state_dict", {"meta": {"epoch": 3}, "optimizer": {"state": {}}}),
        ("net", {"epoch": 3}),
        ("model_state_dict", {"loss": 0.5}),
    ],
)
def test_wrappings(tmp_path, state, wrapper, beside, prefix):
    inner = prefixed(state, prefix)
    torch.save({wrapper: inner, **beside} if wrapper else inner, tmp_path / "a.pth")
    assert_read(open_weights(SPEC, tmp_path / "a.pth"), state, wrapper)


@pytest.mark.parametrize("order", [1, -1])
def test_the_averaged_network_wins(tmp_path, state, order):
    other = {key: value + 1 for key, value in state.items()}
    both = [*prefixed(state, "avg_model.").items(), *prefixed(other, "model.").items()][::order]
    torch.save({"state_dict": {**dict(both), "n_averaged": torch.tensor(9)}}, tmp_path / "a.ckpt")
    read = open_weights(SPEC, tmp_path / "a.ckpt").state
    assert sorted(read) == sorted(state)
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_what_is_no_tensor_beside_the_tensors(tmp_path, state):
    torch.save({**state, "epoch": 3, "names": ["hand"]}, tmp_path / "a.pth")
    assert_read(open_weights(SPEC, tmp_path / "a.pth"), state)


def test_an_ordered_dictionary_with_parameters(tmp_path, state):
    parameters = OrderedDict((key, torch.nn.Parameter(value)) for key, value in state.items())
    torch.save(parameters, tmp_path / "a.pth")
    assert_read(open_weights(SPEC, tmp_path / "a.pth"), state)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".ckpt", ".PTH"])
@pytest.mark.parametrize("zipped", [True, False])
def test_endings_and_formats(tmp_path, state, suffix, zipped):
    path = tmp_path / f"a{suffix}"
    torch.save({"model": state}, path, _use_new_zipfile_serialization=zipped)
    checkpoint = open_weights(SPEC, path)
    assert_read(checkpoint, state, "model")
    assert checkpoint.origin == str(path)
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("prefix", ["", "model."])
def test_safetensors(tmp_path, state, prefix):
    path = tmp_path / "a.safetensors"
    save_file(prefixed(state, prefix), path, metadata={"format": "pt"})
    checkpoint = open_weights(SPEC, str(path))
    assert set(checkpoint.state) == set(state)
    assert all(torch.equal(checkpoint.state[key], state[key]) for key in state)
    assert checkpoint.wrapper == ""
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_home_folder(tmp_path, state, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    torch.save(state, tmp_path / "a.pth")
    assert_read(open_weights(SPEC, "~/a.pth"), state)


def test_unwrap_says_what_it_found(state):
    with pytest.raises(WeightsError, match="holds a list, not a state dict"):
        unwrap([1, 2], "a.pth")
    with pytest.raises(WeightsError, match=r"holds no tensors \(it has: epoch, loss\)"):
        unwrap({"epoch": 1, "loss": 2.0}, "a.pth")
    with pytest.raises(WeightsError, match=r"holds no tensors \(it has: nothing\)"):
        unwrap({"model": {}}, "a.pth")
    assert unwrap({"model": state, "meta": "text"}, "a.pth")[1:] == ("model", {})


@pytest.mark.parametrize("config", ["{broken", "[1, 2]", "null", 3, None])
def test_a_config_that_is_none(state, config):
    assert unwrap({"state_dict": state, "meta": {"config": config}}, "a.pth")[2] == {}


def test_numpy_scalars(tmp_path, state):
    metrics = {
        "best_ap": np.float64(0.39),
        "curr_ap": np.float32(0.3),
        "n": np.int64(3),
        "k": np.int32(3),
        "b": np.True_,
    }
    torch.save({"model": state, **metrics}, tmp_path / "best.pth")
    assert_read(open_weights(SPEC, tmp_path / "best.pth"), state, "model")


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalars_of_either_numpy(tmp_path, state, module):
    """NumPy 2 renamed the module that a pickled scalar names."""
    torch.save({"model": state, "best_ap": np.float64(0.39)}, tmp_path / "best.pth")
    rewrite_pickle(tmp_path / "best.pth", lambda data: data.replace(b"numpy._core.multiarray", module.encode()))
    assert module.encode() in read_pickle(tmp_path / "best.pth")
    assert_read(open_weights(SPEC, tmp_path / "best.pth"), state, "model")


def read_pickle(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def rewrite_pickle(path, change):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, change(data) if name.endswith("data.pkl") else data)


# Folders


def test_a_hugging_face_folder(tmp_path, state):
    config = {"id2label": {"0": "hand"}, "size": jsonplus_tuple(1, jsonplus_tuple(2))}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(state, tmp_path / "model.safetensors")
    torch.save({"other": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    torch.save({"other": torch.ones(1)}, tmp_path / "training_args.bin")
    checkpoint = open_weights(SPEC, tmp_path)
    assert set(checkpoint.state) == set(state)
    assert checkpoint.config == {"id2label": {"0": "hand"}, "size": [1, [2]]}
    assert checkpoint.origin == str(tmp_path)
    assert checkpoint.sha256 == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()


def test_a_modelscope_folder(tmp_path, state):
    (tmp_path / "configuration.json").write_text('{"framework": "pytorch"}', encoding="utf-8")
    # As in a mirror of a Hugging Face model.
    (tmp_path / "config.json").write_text('{"framework": "other", "id2label": {"0": "sad"}}', encoding="utf-8")
    torch.save(state, tmp_path / "pytorch_model.pt")
    checkpoint = open_weights(SPEC, tmp_path)
    assert_read(checkpoint, state)
    assert checkpoint.config == {"framework": "pytorch", "id2label": {"0": "sad"}}


def test_a_folder_with_one_checkpoint_of_any_name(tmp_path, state):
    torch.save(state, tmp_path / "yolox_x.pth")
    (tmp_path / "README.md").write_text("text", encoding="utf-8")
    checkpoint = open_weights(SPEC, tmp_path)
    assert_read(checkpoint, state)
    assert checkpoint.config == {}


def test_a_folder_with_none_or_two(tmp_path, state):
    assert error_of(tmp_path) == f"{tmp_path} holds no checkpoint"
    for name in ("a.pth", "b.pt"):
        torch.save(state, tmp_path / name)
    assert error_of(tmp_path) == f"{tmp_path} holds 2 checkpoints (a.pth, b.pt)"


@pytest.mark.parametrize("text", ["{broken", "\x00"])
def test_a_folder_with_a_broken_configuration(tmp_path, state, text):
    torch.save(state, tmp_path / "a.pth")
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert "cannot read" in error_of(tmp_path)


def test_a_configuration_that_is_not_an_object(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
    assert open_weights(SPEC, tmp_path).config == {}


# What cannot be read


def test_a_missing_file(tmp_path):
    path = tmp_path / "nowhere.pth"
    assert error_of(path) == f"no weights at {path}"


def test_an_exported_file_holds_no_trainable_weights(tmp_path):
    path = tmp_path / "a.onnx"
    assert error_of(path) == f"no weights at {path}"
    path.write_bytes(b"data")
    with pytest.raises(WeightsError, match="is an exported file, which holds no trainable weights") as caught:
        open_weights(SPEC, path)
    assert f"cvrun -m {path}" in caught.value.hint
    assert ".pth" in caught.value.hint


@pytest.mark.parametrize("name", ["a.zip", "a"])
def test_an_unknown_ending(tmp_path, name):
    (tmp_path / name).write_bytes(b"data")
    assert "not a checkpoint by its name" in error_of(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"404: Not Found\n", b"<html>\n", b"version https://git-lfs.github.com/spec/v1"]
)
@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
def test_files_that_hold_something_else(tmp_path, content, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    kind = "a safetensors file" if suffix == ".safetensors" else "a PyTorch checkpoint"
    assert error_of(path).startswith(f"{path} is not {kind}")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_download_that_was_cut_short(tmp_path, state, kind):
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state}, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    for size in range(0, len(whole), max(len(whole) // 60, 1)):
        path.write_bytes(whole[:size])
        assert error_of(path).startswith(str(path))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_bytes_give_our_error_or_none(tmp_path, state, zipped):
    path = tmp_path / "a.pth"
    torch.save({"model": state}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            open_weights(SPEC, path)
        except WeightsError:
            refused += 1
    assert refused > 20


class Malicious:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f'echo > "{self.mark}"',)


def test_a_pickle_executes_nothing(tmp_path, state):
    mark = tmp_path / "executed"
    content = {"model": state, "extra": Malicious(mark)}
    torch.save(content, tmp_path / "a.pth")
    torch.save(content, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    for name in ("a.pth", "legacy.pth", "plain.pkl"):
        message = error_of(tmp_path / name)
        assert f"{os.system.__module__}.system" in message
        assert "refused" in message
    assert not mark.exists()
    # It is a working one: an ordinary unpickling does execute it.
    pickle.loads((tmp_path / "plain.pkl").read_bytes())
    assert mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [lambda network: network, lambda network: {"epoch": 3, "model": network}])
def test_a_pickled_network_is_refused_by_name(tmp_path, wrap, zipped):
    path = tmp_path / "a.pth"
    torch.save(wrap(torch.nn.Conv2d(1, 1, 1)), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError) as caught:
        open_weights(SPEC, path)
    assert "holds a whole model object of the class torch.nn.modules.conv.Conv2d" in caught.value.message
    assert "torch.save(model.state_dict(), FILE)" in caught.value.hint


def test_another_pickled_object_is_not_called_a_model(tmp_path, state):
    torch.save({"model": state, "where": tmp_path}, tmp_path / "a.pth")
    message = error_of(tmp_path / "a.pth")
    assert "pathlib" in message
    assert "whole model" not in message


# Seeded weights


def test_seeded():
    checkpoint = open_weights(SPEC, "seeded")
    assert checkpoint.untrained
    assert checkpoint.origin == "seeded:0"
    assert checkpoint.wrapper == ""
    # Every report of an export from seeded weights quotes it.
    assert checkpoint.sha256 == "703e22532af3b8ff3b166976510a00e78d3c418de22fcc7e4daca85b85cfcfb0"
    assert len(checkpoint.state) == 739


def test_the_seed_counts():
    first, second = (open_weights(SPEC, weights) for weights in ("seeded:3", "seeded:03"))
    assert first.origin == second.origin == "seeded:3"
    assert first.sha256 == second.sha256 != open_weights(SPEC, "seeded:0").sha256


@pytest.mark.parametrize("weights", ["seeded:x", "seeded:-1", "seeded:1.5", "seeded:²"])
def test_not_a_seed(weights):
    assert error_of(weights, UsageError) == f"{weights!r} is not a seed"


def test_a_file_that_is_called_seeded(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(state, "seeded.pth")
    assert not open_weights(SPEC, "seeded.pth").untrained


def test_a_model_without_a_download_address():
    spec = replace(SPEC, name="landmarks68", hub=None)
    with pytest.raises(WeightsError, match="landmarks68 has no known download address") as caught:
        open_weights(spec, None)
    assert "--weights FILE" in caught.value.hint
