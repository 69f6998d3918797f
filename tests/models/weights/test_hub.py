"""Downloads, with the client libraries themselves in their offline mode: nothing here uses the network."""

import logging
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cvport.errors import UsageError, WeightsError
from cvport.models.registry import get_model
from cvport.models.weights.files import open_weights
from cvport.models.weights.hub import HubAddress, download

SPEC = get_model("yolox")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "89abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    # Clients are stood in for where they are asked to download.
    monkeypatch.setattr("cvport.models.weights.hub.unreachable_reason", lambda _url: None)


@pytest.fixture
def hugging_face_cache(tmp_path):
    """A cache as huggingface_hub lays it out: main at one commit, the tag v1 at an older one."""
    pytest.importorskip("huggingface_hub")
    repository = tmp_path / "models--org--model"
    (repository / "refs").mkdir(parents=True)
    for value, (revision, commit) in enumerate({"main": COMMIT, "v1": OLDER}.items()):
        (repository / "refs" / revision).write_text(commit, encoding="utf-8")
        folder = repository / "snapshots" / commit
        folder.mkdir(parents=True)
        torch.save({"weight": torch.full((1,), float(value))}, folder / "pytorch_model.bin")
        (folder / "config.json").write_text('{"CLASSES": ["paw"]}', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("address", "value"),
    [("hf:org/model", 0), ("hf:org/model@main", 0), ("hf:org/model@v1", 1), (f"hf:org/model@{OLDER}", 1)],
)
def test_a_cached_model_is_read_offline(hugging_face_cache, address, value):
    checkpoint = open_weights(SPEC, address, offline=True, cache_dir=hugging_face_cache)
    assert checkpoint.state["weight"].tolist() == [value]
    assert checkpoint.origin == address
    assert checkpoint.config == {"CLASSES": ["paw"]}
    assert len(checkpoint.sha256) == 64


def test_a_revision_that_is_not_in_the_cache(hugging_face_cache):
    with pytest.raises(WeightsError, match="cannot get hf:org/model@v2: "):
        open_weights(SPEC, "hf:org/model@v2", offline=True, cache_dir=hugging_face_cache)


@pytest.mark.parametrize(
    ("address", "library"),
    [
        ("ms:org/model", "modelscope"),
        ("ms:org/model@v1.0", "modelscope"),
        ("hf:org/model", "huggingface_hub"),
        ("hf:org/model@v1.0", "huggingface_hub"),
    ],
)
def test_a_model_that_is_not_in_the_cache(tmp_path, address, library):
    pytest.importorskip(library)
    with pytest.raises(WeightsError) as caught:
        open_weights(SPEC, address, offline=True, cache_dir=tmp_path / "cache")
    assert caught.value.exit_code == 4
    assert caught.value.message.startswith(f"cannot get {address}: ")
    assert "\n" not in caught.value.message
    assert "without --offline" in caught.value.hint
    assert "--weights FILE" in caught.value.hint
    assert "seeded" in caught.value.hint


def test_the_models_own_address(tmp_path):
    pytest.importorskip("modelscope")
    with pytest.raises(WeightsError, match="cannot get ms:damo/cv_yolox-pai_hand-detection: "):
        open_weights(SPEC, None, offline=True, cache_dir=tmp_path)


@pytest.mark.parametrize(
    "address",
    ["ms:", "hf:", "ms:model", "hf:org/", "hf:/model", "hf:org/model/file", "ms:@v1", "hf:org/model@", "ms:org@v1"],
)
def test_a_malformed_address(address):
    with pytest.raises(UsageError, match="is not a hub address") as caught:
        open_weights(SPEC, address, offline=True)
    assert caught.value.exit_code == 2
    assert "ms:ORG/MODEL" in caught.value.hint


def test_an_unknown_hub():
    with pytest.raises(UsageError, match="'gh:org/model' is not a hub address"):
        download(HubAddress.parse("gh:org/model"), offline=True)


@pytest.mark.parametrize(
    ("address", "module", "library"),
    [("ms:org/model", "modelscope", "modelscope"), ("hf:org/model", "huggingface_hub", "huggingface_hub")],
)
def test_a_missing_client_names_the_extra(monkeypatch, address, module, library):
    for loaded in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(WeightsError, match=f"{library} is not installed") as caught:
        download(HubAddress.parse(address))
    assert "cvport[hub]" in caught.value.hint
    assert "--weights FILE" in caught.value.hint


@pytest.mark.parametrize(("scheme", "module"), [("ms", "modelscope.hub.snapshot_download"), ("hf", "huggingface_hub")])
def test_what_the_client_is_asked_for(monkeypatch, tmp_path, scheme, module):
    asked = []
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "snapshots" / "v1"
    folder.mkdir(parents=True)
    (folder / "model.pt").touch()

    def snapshot_download(name, **options):
        asked.append({**options, "name": name})
        return str(folder)

    for package in (module.split(".")[0], module.rpartition(".")[0]):
        if package:
            monkeypatch.setitem(sys.modules, package, SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(snapshot_download=snapshot_download))
    assert download(HubAddress.parse(f"{scheme}:org/model@v1"), offline=True, cache_dir=Path("~/cache")) == folder
    (options,) = asked
    patterns = options.pop("allow_patterns")
    assert {"*.pt", "*.safetensors", "*.json"} <= set(patterns)
    assert options == {
        "name": "org/model",
        "revision": "v1",
        "local_files_only": True,
        "cache_dir": str(tmp_path / "cache"),
    }
    asked.clear()
    download(HubAddress.parse(f"{scheme}:org/model"))
    assert [pattern for options in asked for pattern in options.pop("allow_patterns")] == patterns
    assert all(options == {"name": "org/model", "local_files_only": False} for options in asked)


@pytest.mark.parametrize(("error", "reason"), [(OSError(" no route\nto the host"), "no route"), (OSError(), "OSError")])
def test_a_download_that_fails(monkeypatch, error, reason):
    def snapshot_download(name, **options):
        raise error

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(WeightsError) as caught:
        download(HubAddress.parse("hf:org/model"))
    assert caught.value.message == f"cannot get hf:org/model: {reason}"
    assert "network" in caught.value.hint
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("level", ["WARNING", "INFO"])
def test_what_a_client_prints_goes_to_the_log(monkeypatch, tmp_path, capsys, caplog, level):
    client = logging.getLogger("huggingface_hub")
    before = client.level

    def snapshot_download(name, **options):
        print("a notice")
        print("\r 50%|#####     | 1/2", end="", file=sys.stderr)
        print("a warning", file=sys.stderr)
        assert logging.getLevelName(client.level) == level
        (tmp_path / "model.pt").touch()
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    ours = logging.getLogger("cvport.models.weights.hub")
    monkeypatch.setattr(ours, "propagate", False)  # to handlers that tests of the commands have left
    monkeypatch.setattr(ours, "handlers", [caplog.handler])
    with caplog.at_level(level, logger=ours.name):
        download(HubAddress.parse("hf:org/model"))
    assert capsys.readouterr() == ("", "")
    said = ["a notice", "a warning", f"hf:org/model is in {tmp_path}"]
    assert caplog.messages == (said if level == "INFO" else [])
    assert client.level == before


def test_what_an_interrupted_download_left_is_not_whole(monkeypatch, tmp_path):
    for name in ("model.pt", "model.safetensors.incomplete"):
        (tmp_path / name).touch()
    client = SimpleNamespace(snapshot_download=lambda name, **options: str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    with pytest.raises(WeightsError, match=r"not downloaded completely: .*model\.safetensors\.incomplete") as caught:
        download(HubAddress.parse("hf:org/model"), offline=True)
    assert "without --offline" in caught.value.hint
    assert download(HubAddress.parse("hf:org/model")) == tmp_path


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Denied", "/cache")])
def test_a_cache_that_cannot_take_it(monkeypatch, error):
    def snapshot_download(name, **options):
        raise error

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(WeightsError) as caught:
        download(HubAddress.parse("hf:org/model"))
    assert error.strerror in caught.value.message
    assert "--cache-dir DIR" in caught.value.hint
