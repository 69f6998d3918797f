"""Training end to end, on a few tiny scenes; what it writes is what the package reads."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from cvport.errors import WeightsError
from cvport.models.registry import get_model
from cvport.models.weights.files import open_weights
from cvport.runtimes.load import prepare_network
from shapes.__main__ import main
from shapes.card import write_weights
from shapes.training import train

CLASSES = ("star", "ring", "heart")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr("shapes.training._PHASES", ((0.5, 64, False), (0.5, 96, True)))
    monkeypatch.setattr("shapes.training._WARMUP_STEPS", 4)


def test_training_is_the_same_again():
    runs = [train(3, 64, CLASSES, workers=0, report=lambda *_: None) for _ in range(2)]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    other = train(4, 64, CLASSES, workers=0, report=lambda *_: None)
    assert not torch.equal(runs[0]["head.cls_preds.0.weight"], other["head.cls_preds.0.weight"])


def test_the_command_writes_weights_that_say_all_about_themselves(tmp_path):
    folder = tmp_path / "mine"
    options = ["--images", 64, "--seed", 7, "--scored", 3, "--workers", 0, "--classes", ",".join(CLASSES)]
    done = CliRunner().invoke(main, ["train", "-o", str(folder), *map(str, options)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    prepared = prepare_network(get_model("yolox"), folder, None)
    plan = prepared.plan
    assert plan.variant.title == "YOLOX-nano, depthwise, 3 classes"
    assert plan.labels == CLASSES
    assert plan.preprocess.convention == "easycv"
    assert set(plan.decided_by.values()) == {"checkpoint config"}, "nothing is guessed"
    record = json.loads((folder / "training.json").read_text())
    assert record["training"]["seed"] == 7
    assert record["scoring"]["seed"] == 8, "never the seed of the training"
    assert 0 <= record["scoring"]["map"] < 0.2
    card = (folder / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "3 classes: star, ring, heart." in card
    assert f"| at IoU 0.5:0.95 | {record['scoring']['map']:.3f} |" in card


def test_a_weight_that_float16_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"float16 cannot hold a\.weight"):
        write_weights(tmp_path, {"a.weight": torch.tensor([1e6]), "b": torch.ones(1)}, CLASSES)


def test_weights_are_written_whatever_their_layout(tmp_path):
    write_weights(tmp_path, {"a": torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)}, CLASSES)
    assert load_file(tmp_path / "model.safetensors")["a"].shape == (2, 3, 4, 4)


def test_a_shape_that_is_not_drawn_is_a_usage_error(tmp_path):
    done = CliRunner().invoke(main, ["draw", "-o", str(tmp_path), "--classes", "star,dog"])
    assert done.exit_code == 2
    assert "give some of circle" in done.output


def test_pictures_are_drawn_with_their_boxes(tmp_path):
    done = CliRunner().invoke(main, ["draw", "-o", str(tmp_path), "--count", "3", "--size", "64", "96"])
    assert done.exit_code == 0, done.output
    dataset = json.loads((tmp_path / "annotations.json").read_text())
    assert [image["file_name"] for image in dataset["images"]] == [f"shapes_1_000{i}.png" for i in range(3)]
    assert all((tmp_path / image["file_name"]).is_file() for image in dataset["images"])
    assert len(dataset["annotations"]) > 0
    assert all(entry["bbox"][2] > 0 and entry["category_id"] in range(8) for entry in dataset["annotations"])


def test_half_precision_folder_is_strict(tmp_path):
    state = train(3, 32, CLASSES, workers=0, report=lambda *_: None)
    state.pop("head.cls_preds.0.weight")
    write_weights(tmp_path, state, CLASSES)
    with pytest.raises(WeightsError, match=r"head\.cls_preds\.0\.weight"):
        prepare_network(get_model("yolox"), tmp_path, None)
    assert open_weights(get_model("yolox"), tmp_path).untrained is False
