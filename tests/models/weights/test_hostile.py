"""Checkpoints that are damaged or made to do harm: our error, or the same tensors to the bit."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

from cvport.errors import CvportError, UsageError, WeightsError
from cvport.exporters.commands.cvexport import cvexport
from cvport.models.emotion.variant import Variant
from cvport.models.params import InputParams
from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint, read_checkpoint
from cvport.models.weights.loading import load_strict
from cvport.models.yolox.spec import SPEC
from helpers.yolox import megvii_variant


class Network(nn.Module):
    """A few tensors of every kind that a network has."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return Network().state_dict()


def save(state, path):
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state}, path, _use_new_zipfile_serialization=path.stem != "legacy")


def outcome(path, state):
    """ "refused", "same", or "other" where a tensor that loads is not the one that was saved."""
    network = Network()
    try:
        load_strict(network, read_checkpoint(path, str(path)).state)
    except CvportError as error:
        return "refused" if error.exit_code == WeightsError.exit_code else repr(error)
    loaded = network.state_dict()
    same = all(loaded[key].numpy().tobytes() == value.numpy().tobytes() for key, value in state.items())
    return "same" if same else "other"


def flipped(whole, bits):
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_flips_and_truncations(tmp_path, state, name):
    path = tmp_path / name
    save(state, path)
    whole = path.read_bytes()
    # safetensors has no checksum: a changed value is another file, and another sha256. Only its header can be checked.
    end = len(whole) if name == "a.pth" else 8 + int.from_bytes(whole[:8], "little")
    bits = np.random.default_rng(0).choice(8 * end, 300, replace=False)
    cuts = [whole[:size] for size in range(0, len(whole), len(whole) // 60)]
    seen = []
    for damaged in (*flipped(whole, bits), *cuts):
        path.write_bytes(damaged)
        seen.append(outcome(path, state))
    assert set(seen) <= {"same", "refused"}
    assert seen.count("refused") > 100


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_flips_of_the_old_format_give_our_error_or_tensors(tmp_path, state):
    """It has no checksums, so a changed value cannot be seen; anything else has to be an error of ours."""
    path = tmp_path / "legacy.pth"
    save(state, path)
    whole = path.read_bytes()
    bits = np.random.default_rng(0).choice(8 * len(whole), 300, replace=False)
    for damaged in (*flipped(whole, bits), *(whole[:size] for size in range(0, len(whole), 100))):
        path.write_bytes(damaged)
        assert outcome(path, state) in ("same", "other", "refused")


CONFIG = {
    "model": {"act": "relu"},
    "test_pipeline": [
        {"type": "MMResize", "img_scale": [640, 640]},
        {"type": "MMPad", "pad_val": [114, 114, 114]},
        {"type": "MMNormalize", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "to_rgb": True},
    ],
    "CLASSES": ["a", "b", "c"],
    "id2label": {"0": "happy", "1": "sad"},
    "num_attention_heads": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "image_size": 32,
}


def variants(value):
    """Copies of a JSON value, each with one part of it replaced by something else."""
    yield from ([], {}, [{}], 3, -1, 1e308, float("nan"), True, None, "text", 10**30, [[1, 2]], {"a": {"b": []}})
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for other in variants(part):
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = other
            yield copy


def test_a_folder_with_any_configuration(tmp_path, state):
    path = tmp_path / "config.json"
    save(state, tmp_path / "model.safetensors")
    path.write_text(json.dumps(CONFIG))
    whole = path.read_bytes()
    for damaged in flipped(whole, np.random.default_rng(0).choice(8 * len(whole), 200, replace=False)):
        path.write_bytes(damaged)
        assert outcome(tmp_path, state) in ("refused", "same")


def vit_state():
    variant = Variant(
        hidden=8, layers=1, heads=2, intermediate=16, patch=16, image_size=(32, 32), num_classes=2, layer_norm_eps=1e-12
    )
    return get_model("emotion").seeded(0, variant)


@pytest.mark.parametrize("model", ["yolox", "emotion"])
def test_plans_of_any_configuration(model):
    spec = get_model(model)
    state = spec.seeded(0, megvii_variant("nano", 3)) if model == "yolox" else vit_state()
    planned = refused = 0
    for config in filter(lambda it: isinstance(it, dict), variants(CONFIG)):
        try:
            spec.plan(Checkpoint(state, "a", "0" * 64, config=config))
            planned += 1
        except CvportError:
            refused += 1
    assert planned > 50
    assert refused > 0


def message(path):
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path, str(path))
    assert caught.value.hint
    assert caught.value.message.isprintable()
    return caught.value.message


def test_a_flipped_tensor_is_named(tmp_path, state):
    path = tmp_path / "a.pth"
    save(state, path)
    whole = bytearray(path.read_bytes())
    place = whole.index(state["conv.weight"].numpy().tobytes())
    whole[place + 3] ^= 1
    path.write_bytes(whole)
    assert "a/data/0 is damaged: it does not have the checksum it was saved with" in message(path)


def test_a_tensor_that_is_marked_as_a_folder(tmp_path, state):
    """zipfile reads it, and its checksum fits; PyTorch would return memory that was never written."""
    path = tmp_path / "a.pth"
    save(state, path)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"data/0"))
    data[entry + 38] |= 0x10  # external attributes, in the central directory
    path.write_bytes(data)
    assert "a/data/0 is marked as a folder" in message(path)


def test_a_file_without_checksums_is_read_and_told(tmp_path, state, caplog):
    path = tmp_path / "none.pth"
    torch.serialization.set_crc32_options(False)
    try:
        save(state, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert outcome(path, state) == "same"
    assert "without checksums" in caplog.text


@pytest.mark.parametrize("data", [bytes(50_000_000), b""])
def test_zip_bombs(tmp_path, state, data, monkeypatch):
    path = tmp_path / "a.pth"
    save(state, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data/99", data)
    if data:
        assert "unpacks to over 100 times its size" in message(path)
        return
    monkeypatch.setattr("cvport.models.weights.archive._LARGEST_TOTAL", 100)
    assert "members that unpack to" in message(path)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: torch.ones(2, 2, device="meta"), "meta"),
        (lambda: torch.ones(2, 2).to_sparse(), "sparse_coo"),
        (lambda: torch.ones(2, 2).to_sparse_csr(), "sparse_csr"),
        (lambda: torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8), "quantised"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_plain_numbers(tmp_path, make, expected):
    torch.save({"conv.weight": make()}, tmp_path / "a.pth")
    assert f"conv.weight is a {expected} tensor" in message(tmp_path / "a.pth")


def test_a_tensor_expanded_without_end(tmp_path):
    torch.save({"conv.weight": torch.ones(1).expand(10**12)}, tmp_path / "a.pth")
    assert "its tensors claim to have" in message(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a\x1b[31mb", "'a\\u001b[31mb'"),
        ("a\nb", "'a\\u000ab'"),
        ("a\udc80", "'a\\udc80'"),
        (7, "of type int"),
        ((1, 2), "of type tuple"),
        ("x" * 10_000, "xxx...'"),
    ],
)
def test_keys_that_no_network_has(tmp_path, key, expected):
    torch.save({key: torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pth")
    found = message(tmp_path / "a.pth")
    assert expected in found
    assert len(found) < 400


def test_a_key_with_a_control_character_in_safetensors(tmp_path):
    save_file({"a\x07": torch.ones(1)}, tmp_path / "a.safetensors")
    assert "'a\\u0007'" in message(tmp_path / "a.safetensors")


def test_a_key_of_prefixes_alone(tmp_path):
    torch.save({"module." * 60 + "a": torch.ones(1)}, tmp_path / "a.pth")
    assert "is wrapped over 16 times" in message(tmp_path / "a.pth")


def shared(depth):
    value = ["x"]
    for _ in range(depth):
        value = [value, value]
    return {"a": value}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"__value__": value}
    return value


def cyclic():
    value = {}
    value["a"] = value
    return value


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: shared(40), "has more than 100,000 values"),
        (lambda: nested(300), "is nested too deeply"),
        (cyclic, "is nested too deeply"),
        (lambda: '{"a":' * 100_000 + "1" + "}" * 100_000, "is nested too deeply"),
    ],
)
def test_configurations_without_end(tmp_path, state, make, expected):
    torch.save({"state_dict": state, "meta": {"config": make()}}, tmp_path / "a.pth")
    assert expected in message(tmp_path / "a.pth")


def endless():
    """A pickle of a dictionary whose key is a tuple that holds twice the one before it, sixty times."""
    doubled = b"".join(b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86" for level in range(60))
    return b"\x80\x02})" + doubled + b"K\x01s."


def test_a_key_whose_hash_takes_for_ever(tmp_path, state):
    path = tmp_path / "a.pth"
    save(state, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, endless() if name.endswith("data.pkl") else data)
    assert "nested over 16 levels deep" in message(path)
    heads = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    (tmp_path / "legacy.pth").write_bytes(b"".join([*heads, endless()]))
    assert "nested over 16 levels deep" in message(tmp_path / "legacy.pth")


def test_a_file_without_tensors_and_with_long_keys(tmp_path):
    key = ()
    for _ in range(10):
        key = (key, key)
    torch.save({key: 1, "a\x07": 2}, tmp_path / "a.pth")
    assert "(it has: a tuple, a\\u0007)" in message(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested too deeply"),
        (f"[{' ' * (5 << 20)}]", "is larger than 4 MiB"),
    ],
)
def test_a_config_json_without_end(tmp_path, state, text, expected):
    save(state, tmp_path / "a.pth")
    (tmp_path / "config.json").write_text(text)
    assert expected in message(tmp_path)


def test_a_wide_input_is_refused_before_anything_is_allocated():
    with pytest.raises(ValueError, match="has a side over 8192 pixels"):
        InputParams((1, 99_999_999), "rgb")
    checkpoint = Checkpoint(SPEC.seeded(0, megvii_variant("nano", 3)), "a", "0" * 64)
    with pytest.raises(UsageError, match="is too large"):
        SPEC.plan(checkpoint, VariantOptions(input_size=(32, 99_999_968)))
    config = {"img_scale": [99_999_999, 1]}
    with pytest.raises(WeightsError, match="a side over 8192 pixels"):
        SPEC.plan(Checkpoint(checkpoint.state, "a", "0" * 64, config=config))
    for size in ("32,99999968", "1,99999999"):
        result = CliRunner().invoke(cvexport, ["yolox", "--weights", "seeded", "--input-size", size])
        assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_file_is_not_opened(tmp_path, name):
    """Opening a FIFO would wait for ever."""
    os.mkfifo(tmp_path / name)
    for place in (tmp_path / name, tmp_path):
        with pytest.raises(WeightsError, match="is a FIFO, not a file"):
            read_checkpoint(place, str(place))
    with pytest.raises(WeightsError, match="/dev/zero is a device"):
        read_checkpoint(Path("/dev/zero"), "/dev/zero")


def test_a_configuration_that_is_no_file_is_not_opened(tmp_path, state):
    save(state, tmp_path / "w.pth")
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(WeightsError, match=r"config\.json is a FIFO, not a file"):
        read_checkpoint(tmp_path, "w")
