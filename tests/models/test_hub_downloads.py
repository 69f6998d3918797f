"""Downloads by the real clients from a server on this machine that speaks as the hubs do."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save

from cvport.errors import WeightsError
from cvport.exporters.commands.cvexport import cvexport
from cvport.models.weights.files import open_weights
from cvport.models.weights.hub import HubAddress, download
from cvport.models.yolox.spec import SPEC
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.seal import KEY
from helpers.yolox import megvii_variant

CONFIG = b'{"CLASSES": ["paw"]}'
BOTH = pytest.mark.parametrize("scheme", ["hf", "ms"])


def weights(value, size=4000):
    return save({"weight": np.full(size, value, np.float32)})


FIRST, SECOND = weights(1), weights(2)
NAME = "model.safetensors"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(hub_server, monkeypatch, tmp_path):
    """The server, with both clients of this process turned to it and away from what this machine has stored."""
    hf = pytest.importorskip("huggingface_hub")
    ms = pytest.importorskip("modelscope_hub")
    for key, value in environment(hub_server.url, tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # Both clients read most of their settings once, when they are imported.
    template = "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": hub_server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub_server.url + template,
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_OFFLINE": False,
        "DOWNLOAD_CHUNK_SIZE": 1000,
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_INTEGRITY_RETRY_BACKOFF", 0)
    monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_RETRY_TIMES", 1)
    monkeypatch.setattr("modelscope_hub._legacy_api.REPO_TREE_PAGE_MAX_ATTEMPTS", 1)
    ms.set_default_config(None)
    hf.close_session()
    yield hub_server
    ms.set_default_config(None)
    hf.close_session()


def environment(url, folder):
    return {
        "HF_ENDPOINT": url,
        "HF_HOME": str(folder / "hf_home"),
        "MODELSCOPE_ENDPOINT": url,
        "MODELSCOPE_HOME": str(folder / "ms_home"),
        "MODELSCOPE_CACHE": str(folder / "ms_cache"),
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def get(scheme, cache, revision="", **options):
    return open_weights(SPEC, f"{scheme}:org/model{revision}", cache_dir=cache, **options)


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and "lock" not in path.suffix)


@BOTH
def test_a_model_is_downloaded(server, cache, tmp_path, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG, "README.md": b"#", "tf_model.h5": b"other"})
    checkpoint = get(scheme, cache)
    assert checkpoint.state["weight"].tolist() == [1] * 4000
    assert checkpoint.sha256 == sha256(FIRST)
    assert checkpoint.origin == f"{scheme}:org/model"
    assert checkpoint.config == {"CLASSES": ["paw"]}
    assert not checkpoint.untrained
    assert {request.path for request in server.downloads("tf_model.h5") + server.downloads("README.md")} == set()
    assert NAME in files_below(cache)
    assert NAME not in files_below(tmp_path / "ms_cache") + files_below(tmp_path / "hf_home")


@BOTH
def test_a_revision_pins_the_bytes(server, cache, scheme):
    commit = server.publish("org/model", {NAME: FIRST, "config.json": CONFIG}, "v1.0")
    server.publish("org/model", {NAME: SECOND, "config.json": b'{"CLASSES": ["claw"]}'})
    pinned = get(scheme, cache, "@v1.0")
    assert pinned.sha256 == sha256(FIRST)
    assert pinned.config == {"CLASSES": ["paw"]}
    assert pinned.origin == f"{scheme}:org/model@v1.0"
    assert any("v1.0" in request.path for request in server.requests)
    assert get(scheme, cache).sha256 == sha256(SECOND)
    assert get(scheme, cache, f"@{commit}").sha256 == sha256(FIRST)
    server.requests.clear()
    assert get(scheme, cache, "@v1.0", offline=True).sha256 == sha256(FIRST)
    assert get(scheme, cache, offline=True).sha256 == sha256(SECOND)
    assert server.requests == []


@BOTH
def test_what_the_hub_replaces_is_downloaded_anew(server, cache, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    get(scheme, cache)
    server.requests.clear()
    assert get(scheme, cache).sha256 == sha256(FIRST)
    assert server.downloads(NAME) == []
    server.publish("org/model", {NAME: SECOND, "config.json": CONFIG})
    assert get(scheme, cache).sha256 == sha256(SECOND)
    assert len(server.downloads(NAME)) == 1


@BOTH
@pytest.mark.parametrize(("name", "revision"), [("org/modle", ""), ("org/model", "@v9")])
def test_an_unknown_model_or_revision(server, cache, scheme, name, revision):
    server.publish("org/model", {NAME: FIRST})
    with pytest.raises(WeightsError) as caught:
        download(HubAddress.parse(f"{scheme}:{name}{revision}"), cache_dir=cache)
    assert caught.value.exit_code == 4
    assert caught.value.message.startswith(f"cannot get {scheme}:{name}{revision}: ")
    assert caught.value.message.endswith(" answered 404: there is no such model or revision")
    assert caught.value.hint.startswith("Check the name and the revision, or give a file: --weights FILE")


@BOTH
@pytest.mark.parametrize(("status", "code"), [(401, "RepoNotFound"), (401, ""), (403, "GatedRepo"), (403, "")])
def test_a_private_or_gated_model(server, cache, scheme, status, code):
    server.publish("org/model", {NAME: FIRST})
    server.closed["org/model"] = (status, code)
    with pytest.raises(WeightsError, match=f" answered {status}: it is private or gated") as caught:
        get(scheme, cache)
    assert caught.value.exit_code == 4
    assert {"hf": "log in: hf auth login", "ms": "log in: modelscope login"}[scheme] in caught.value.hint


@BOTH
@pytest.mark.parametrize("status", [401, 403])
def test_a_listing_that_is_public_and_files_that_are_not(server, cache, scheme, status):
    server.publish("org/model", {NAME: FIRST})
    server.gated = (status, "GatedRepo")
    with pytest.raises(WeightsError, match=f" answered {status}: it is private or gated") as caught:
        get(scheme, cache)
    assert "ask for access" in caught.value.hint


@BOTH
def test_no_server(server, cache, scheme):
    server.publish("org/model", {NAME: FIRST})
    server.socket.close()
    with pytest.raises(WeightsError) as caught:
        get(scheme, cache)
    assert caught.value.exit_code == 4
    assert caught.value.message.startswith(f"cannot get {scheme}:org/model: ")
    assert "onnect" in caught.value.message
    assert caught.value.hint.startswith("Check the network")
    assert "--offline" in caught.value.hint
    assert "--weights FILE" in caught.value.hint


@BOTH
def test_a_broken_connection_is_resumed_within_a_call(server, cache, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    server.cut[NAME] = 6000
    assert get(scheme, cache).sha256 == sha256(FIRST)
    assert [request.range for request in server.downloads(NAME)] == ["", "bytes=6000-"]


@BOTH
def test_a_broken_download_is_completed_by_the_next_call(server, cache, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    server.cut[NAME], server.stays_cut = 6000, True
    with pytest.raises(WeightsError, match="cannot get") as caught:
        get(scheme, cache)
    assert caught.value.hint.startswith("Check the network and run again")
    assert NAME not in files_below(cache)
    with pytest.raises(WeightsError):
        get(scheme, cache, offline=True)
    server.refuse.clear()
    server.requests.clear()
    assert get(scheme, cache).sha256 == sha256(FIRST)
    assert server.downloads("config.json") == []
    # Hugging Face's client starts a file anew in each call.
    assert [request.range for request in server.downloads(NAME)] == [{"hf": "", "ms": "bytes=6000-"}[scheme]]


@BOTH
@pytest.mark.parametrize("altered", [SECOND, FIRST[:-4], FIRST + b"more"], ids=["other", "short", "long"])
def test_bytes_that_the_hub_does_not_record_are_refused(server, cache, scheme, altered):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    server.altered[NAME] = altered
    with pytest.raises(WeightsError) as caught:
        get(scheme, cache)
    assert NAME in caught.value.message
    assert "run again" in caught.value.hint
    with pytest.raises(WeightsError):
        get(scheme, cache, offline=True)
    server.altered.clear()
    assert get(scheme, cache).sha256 == sha256(FIRST)


def test_the_message_tells_the_digests(server, cache):
    server.publish("org/model", {NAME: FIRST})
    server.altered[NAME] = SECOND
    with pytest.raises(WeightsError, match=f"its SHA-256 is not {sha256(FIRST)}"):
        get("hf", cache)
    with pytest.raises(WeightsError, match=f"Hash mismatch.*expected {sha256(FIRST)[:16]}"):
        get("ms", cache)


def test_a_cached_file_that_changed_is_refused(server, cache):
    server.publish("org/model", {NAME: FIRST})
    get("hf", cache)
    (blob,) = (path for path in cache.rglob(sha256(FIRST)) if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(SECOND)
    with pytest.raises(WeightsError, match="is not the file that the hub records"):
        get("hf", cache, offline=True)
    assert not blob.exists()


@BOTH
def test_the_cache_is_used_without_the_network(server, cache, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    online = get(scheme, cache)
    server.requests.clear()
    offline = get(scheme, cache, offline=True)
    assert server.requests == []
    assert (offline.sha256, offline.origin, offline.config) == (online.sha256, online.origin, online.config)
    with pytest.raises(WeightsError, match="cannot get") as caught:
        get(scheme, cache / "other", offline=True)
    assert caught.value.exit_code == 4
    assert caught.value.hint.startswith("Run once without --offline, or give a file: --weights FILE")
    assert server.requests == []


def test_a_cache_of_an_older_modelscope_client(server, cache):
    """It has one folder for every revision."""
    folder = cache / "models" / "org" / "model"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(SECOND)
    assert get("ms", cache, offline=True).sha256 == sha256(SECOND)
    with pytest.raises(WeightsError, match=r"does not tell whether .* is revision v1\.0") as caught:
        get("ms", cache, "@v1.0", offline=True)
    assert "without --offline" in caught.value.hint
    server.publish("org/model", {NAME: FIRST}, "v1.0")
    assert get("ms", cache, "@v1.0").sha256 == sha256(FIRST)


@BOTH
def test_a_model_without_a_checkpoint(server, cache, scheme):
    server.publish("org/model", {"config.json": CONFIG, "tf_model.h5": b"other"})
    server.publish("org/empty", {"README.md": b"#"})
    for name in ("model", "empty"):
        with pytest.raises(WeightsError, match=f"{scheme}:org/{name} holds no checkpoint") as caught:
            download(HubAddress.parse(f"{scheme}:org/{name}"), cache_dir=cache)
        assert "Check the address" in caught.value.hint


def test_the_configuration_comes_before_the_weights(server, cache):
    """A folder with weights but without their configuration would pass for whole."""
    server.publish("org/model", {NAME: FIRST, "configuration.json": CONFIG})
    server.closed.clear()
    server.altered["configuration.json"] = b"{"
    with pytest.raises(WeightsError, match=r"configuration\.json: .*1 bytes"):
        get("ms", cache)
    assert server.downloads(NAME) == []
    with pytest.raises(WeightsError):
        get("ms", cache, offline=True)


@BOTH
def test_a_cache_that_cannot_be_written(server, tmp_path, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(WeightsError) as caught:
        get(scheme, file / "cache")
    assert str(file) in caught.value.message
    assert "--cache-dir DIR" in caught.value.hint


def test_an_export_from_a_hub(server, cache, tmp_path, capsys):
    state = SPEC.seeded(0, megvii_variant("nano", 3))
    data = save(state)
    server.publish("org/model", {NAME: data, "config.json": b'{"CLASSES": ["paw", "claw", "tail"]}'})
    command = ["yolox", "--weights", "hf:org/model", "--input-size", "160", "--cache-dir", str(cache)]
    command += ["-o", str(tmp_path / "out"), "--json", "--quiet"]
    environ = {**os.environ, **environment(server.url, tmp_path), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", "from cvport.exporters.commands.cvexport import main; main()", *command]
    done = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    record = json.loads(done.stdout)
    assert record["verdict"] == "passed"
    weights = json.loads(read_seal(Path(record["onnx"])))["weights"]
    assert (weights["sha256"], weights["origin"], weights["untrained"]) == (sha256(data), "hf:org/model", False)
    assert "preprocess easycv (model default)" in weights["assumed"]
    server.requests.clear()
    assert run_command(cvexport, [*command, "--offline", "--cache-dir", str(tmp_path / "empty")]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: cannot get hf:org/model: ")
    assert "\n  Run once without --offline, or give a file: --weights FILE" in err
    assert server.requests == []


def read_seal(path):
    (entry,) = (entry for entry in onnx.load(path).metadata_props if entry.key == KEY)
    return entry.value


@BOTH
def test_nothing_is_printed(server, cache, scheme, capfd):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    get(scheme, cache)
    get(scheme, cache, offline=True)
    assert capfd.readouterr() == ("", "")


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@BOTH
def test_a_killed_download_is_never_taken_for_whole(server, cache, tmp_path, scheme):
    server.publish("org/model", {NAME: FIRST, "config.json": CONFIG})
    server.cut[NAME], server.hold = 6000, True
    code = (
        "import sys, pathlib; from cvport.models.weights.hub import HubAddress, download;"
        "download(HubAddress.parse(sys.argv[1]), cache_dir=pathlib.Path(sys.argv[2]))"
    )
    environ = {**os.environ, **environment(server.url, tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", code, f"{scheme}:org/model", str(cache)], env=environ)
    try:
        assert server.held.wait(60)
        wait_for(lambda: list(cache.rglob("*.incomplete")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    server.hold = False
    assert NAME not in files_below(cache)
    with pytest.raises(WeightsError, match=r"not downloaded completely|incomplete") as caught:
        get(scheme, cache, offline=True)
    assert "Run once without --offline" in caught.value.hint
    assert get(scheme, cache).sha256 == sha256(FIRST)


@BOTH
def test_a_server_that_does_not_listen_is_told_in_one_line_and_at_once(server, cache, tmp_path, scheme, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for key, value in environment(url, tmp_path).items():
            monkeypatch.setenv(key, value)
        start = time.monotonic()
        with pytest.raises(WeightsError) as caught:
            get(scheme, cache)
    assert time.monotonic() - start < 10
    assert caught.value.message == f"cannot get {scheme}:org/model: 127.0.0.1 cannot be reached: Connection refused"
    assert "--offline" in caught.value.hint
    assert "\n" not in caught.value.hint


def test_the_cause_of_a_broken_connection_is_told_without_the_libraries_around_it(server, cache, monkeypatch):
    monkeypatch.setattr("cvport.models.weights.hub.unreachable_reason", lambda _url: None)
    requests = pytest.importorskip("requests")
    urllib3 = pytest.importorskip("urllib3")
    refused = ConnectionRefusedError(111, "Connection refused")
    tower = requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/api/v1/models", refused))

    def fail(name, **options):
        raise tower

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(WeightsError) as caught:
        get("hf", cache)
    assert caught.value.message == "cannot get hf:org/model: Connection refused"
