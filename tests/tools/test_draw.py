"""Scenes written as files, with their boxes as a COCO dataset."""

import json

import cv2
import numpy as np
from click.testing import CliRunner

from cvport.runtimes.evaluate.coco_file import read_coco
from shapes.__main__ import main
from shapes.scenes import CLASSES
from shapes.scoring import held_out_scenes


def test_scenes_that_score_takes_can_be_drawn(tmp_path):
    done = CliRunner().invoke(main, ["draw", "--scored", "--seed", "1", "--count", "3", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    dataset = read_coco(tmp_path / "annotations.json")
    assert list(dataset.categories.values()) == list(CLASSES)
    sizes = set()
    for (name, boxes), scene in zip(dataset.images.items(), held_out_scenes(1, 3, CLASSES), strict=True):
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / name)), scene.image)
        sides = np.array([box.box for box in boxes])
        np.testing.assert_allclose(np.hstack([sides[:, :2], sides[:, :2] + sides[:, 2:]]), scene.boxes, atol=1e-4)
        assert [box.category for box in boxes] == scene.class_ids.tolist()
        sizes.add(scene.image.shape)
    assert len(sizes) == 3


def test_scenes_of_one_size(tmp_path):
    done = CliRunner().invoke(main, ["draw", "--count", "2", "--size", "96", "128", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    images = json.loads((tmp_path / "annotations.json").read_text())["images"]
    assert [(image["height"], image["width"]) for image in images] == [(96, 128)] * 2
