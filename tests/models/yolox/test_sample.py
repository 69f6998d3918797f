"""The weights that come along: what they say of themselves is true, and they are read like any others."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

import cvport
from cvport.errors import WeightsError
from cvport.models.ops.boxes import iou_matrix
from cvport.models.registry import get_model
from cvport.models.weights.files import open_weights, sample_folder
from cvport.runtimes.load import prepare_network
from helpers.gate import Exported, failed
from shapes.card import render
from shapes.photos import HELD_OUT, TRAINING, read_photo
from shapes.scenes import CLASSES, draw_scene
from shapes.scoring import held_out_scenes, open_model, score

SPEC = get_model("yolox")
FOLDER = Path(str(files("cvport.models.yolox"))) / "sample"
WEIGHTS = FOLDER / "model.safetensors"
RECORD = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def exported():
    return Exported(SPEC, open_weights(SPEC, "sample"))


def test_they_are_small_and_halves():
    from safetensors.torch import load_file

    assert WEIGHTS.stat().st_size <= 2_000_000
    assert {str(tensor.dtype) for tensor in load_file(WEIGHTS).values()} == {"torch.float16"}
    assert sorted(path.name for path in FOLDER.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "training.json",
    ]


def test_the_record_is_about_these_weights_and_the_card_says_the_same():
    assert RECORD["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert RECORD["photos"] == {"training": list(TRAINING), "scoring": list(HELD_OUT)}
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == render(RECORD, WEIGHTS.stat().st_size)
    assert RECORD["scoring"]["seed"] != RECORD["training"]["seed"]
    assert RECORD["scoring"]["map"] >= 0.6
    assert RECORD["training"]["minutes"] < 120


def test_they_find_what_is_drawn_with_another_seed():
    with open_model(FOLDER) as predictor:
        figures = score(predictor, seed=77, count=30)
    assert figures["map"] == pytest.approx(RECORD["scoring"]["map"], abs=0.1)
    assert figures["map_50"] > 0.75


def test_nothing_about_them_is_guessed_or_called_untrained(exported):
    assert exported.checkpoint.untrained is False
    assert exported.checkpoint.origin == "sample"
    assert exported.plan.labels == CLASSES
    assert set(exported.plan.decided_by.values()) == {"checkpoint config"}
    assert exported.seal.weights == {"sha256": RECORD["sha256"], "origin": "sample", "untrained": False}


def test_the_gate_passes_with_limits_far_below_the_spread(exported, tmp_path):
    record = exported.verify(tmp_path)
    assert record["verdict"] == "passed"
    assert record["untrained"] is False
    spread = {entry["what"]: entry["figures"]["spread"] for entry in record["comparisons"] if entry["tier"] == "spread"}
    limits = {name: limit["max_abs"] for name, limit in record["limits"]["tensors"].items()}
    assert all(spread[name] > 1000 * limits[name] for name in limits), (spread, limits)


def test_the_gate_sees_a_fault_in_them(exported, tmp_path):
    """Where no other trained weights are at hand, these show that limits of trained weights are tight."""
    name = "backbone.backbone.dark3.0.pconv.conv.weight"
    record = exported.verify(tmp_path, exported.with_weights(name, lambda weight: weight * 1.01))
    assert failed(record, "tensors")


def test_their_file_finds_the_shapes_of_a_picture(exported, tmp_path):
    path = tmp_path / "yolox.onnx"
    path.write_bytes(exported.onnx)
    scene = next(scene for scene in held_out_scenes(2024, 20, CLASSES) if len(scene.boxes) >= 4)
    with cvport.load(path, backend="onnx") as file, open_model(FOLDER) as network:
        found, expected = file(scene.image), network(scene.image, score_threshold=0.3)
    assert found.labels == expected.labels
    assert {CLASSES[i] for i in scene.class_ids} & set(found.labels)


def test_loading_is_as_strict_as_for_any_weights(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "sample"
    shutil.copytree(FOLDER, folder)
    state = load_file(WEIGHTS)
    state.pop("head.cls_preds.0.weight")
    save_file(state, folder / WEIGHTS.name)
    with pytest.raises(WeightsError, match=r"head\.cls_preds\.0\.weight"):
        prepare_network(SPEC, folder, None)


@pytest.mark.parametrize("name", ["nanodet", "hand_static", "landmarks68", "emotion"])
def test_models_without_them_say_so(name):
    assert sample_folder(get_model(name)) is None
    with pytest.raises(WeightsError, match=f"{name} has no sample weights, yolox has") as caught:
        open_weights(get_model(name), "sample")
    assert "--weights seeded" in caught.value.hint


@pytest.mark.parametrize("photo", [None, "astronaut.png"])
def test_the_pictures_of_the_demo(photo):
    """`make demo` shows these: a picture of another seed, and a photograph with shapes on it."""
    makefile = (Path(cvport.__file__).resolve().parent / "Makefile").read_text(encoding="utf-8")
    seed = int(re.search(r"^DEMO_SEED := (\d+)$", makefile, flags=re.M)[1])
    on = None if photo is None else read_photo(photo)
    scene = draw_scene([seed, 0, 1], (480, 640), photos=tuple(HELD_OUT), photo=on)
    with open_model(FOLDER) as predictor:
        found = predictor(scene.image, score_threshold=0.3)
    overlaps = iou_matrix(scene.boxes, found.boxes)
    same = scene.class_ids[:, None] == found.class_ids[None]
    right = ((overlaps > 0.5) & same).any(axis=1)
    assert len(scene.boxes) >= 5
    assert right.mean() >= 0.75, [(CLASSES[i], bool(ok)) for i, ok in zip(scene.class_ids, right, strict=True)]
