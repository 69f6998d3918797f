"""A guessed convention that finds nothing is told, with the one that does."""

from __future__ import annotations

import numpy as np
import pytest

from cvport import VariantOptions, get_model
from cvport.exporters.gate.assumptions import check_convention
from cvport.exporters.gate.probes import Case, built_in_cases, folder_cases
from cvport.runtimes.job import Region
from cvport.runtimes.load import prepare_network

SPEC = get_model("yolox")


@pytest.fixture(scope="module")
def photos(real):
    return folder_cases(real / "images", "dynamic")


def notes(weights, cases, **options):
    chosen = VariantOptions(input_size=(416, 416), **options)
    return check_convention(SPEC, prepare_network(SPEC, weights, chosen), chosen, cases)


@pytest.mark.parametrize(
    ("name", "guessed", "better"),
    [("yolox_nano_hand.pth", "megvii", "easycv"), ("yolox_nano_coco.safetensors", "easycv", "megvii")],
)
def test_a_wrong_guess_is_told_with_the_better_one(real, photos, name, guessed, better):
    (note,) = notes(real / name, photos)
    assert note.startswith(f"preprocess {guessed} is a guess and looks wrong")
    assert f"--preprocess {better}" in note


@pytest.mark.parametrize("convention", ["easycv", "megvii"])
def test_what_was_chosen_is_no_guess(real, photos, convention):
    assert notes(real / "yolox_nano_hand.pth", photos, preprocess=convention) == ()


def test_images_that_tell_nothing_are_told_as_such(real):
    grey = [Case("grey", [Region(np.full((60, 80, 3), 114, np.uint8))])]
    (note,) = notes(real / "yolox_nano_hand.pth", grey)
    assert "no image could tell" in note
    assert "--probes DIR" in note


def test_untrained_weights_and_other_kinds_say_nothing():
    cases = built_in_cases("dynamic")[:1]
    assert check_convention(SPEC, prepare_network(SPEC, "seeded", None), None, cases) == ()
    hand = get_model("hand_static")
    assert check_convention(hand, prepare_network(hand, "seeded", None), None, cases) == ()
