"""Untrained weights: the same everywhere, and informative to compare."""

import math

import numpy as np
import pytest
import torch

from cvport.models.ops.fusion import fuse
from cvport.models.yolox.spec import SPEC
from cvport.models.yolox.variant import DEFAULT_VARIANT
from helpers.weights import digest
from helpers.yolox import megvii_variant

NANO = megvii_variant("nano", 1)
SIDE = 256


def pictures():
    """Two pictures of smooth ground and sharp shapes, (2,3,SIDE,SIDE), 0..255."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    drawn = []
    for phase in (0.0, 2.0):
        waves = [np.sin(phase + channel + 5 * rows + 3 * columns * (1 + channel)) for channel in range(3)]
        picture = 128 + 60 * np.stack(waves)
        for _ in range(12):
            top, left = rng.integers(0, SIDE - 60, 2)
            picture[:, top : top + rng.integers(10, 60), left : left + rng.integers(10, 60)] = rng.uniform(
                0, 255, (3, 1, 1)
            )
        picture[:, int(SIDE * 0.75) :] = 114
        drawn.append(picture)
    return np.stack(drawn).round().astype(np.float32)


def normalised(images):
    mean = np.array([123.675, 116.28, 103.53], np.float32).reshape(3, 1, 1)
    std = np.array([58.395, 57.12, 57.375], np.float32).reshape(3, 1, 1)
    return (images - mean) / std


def test_the_same_seed_gives_the_same_bits_on_every_machine():
    assert digest(SPEC.seeded(0, NANO)) == "5e4967c9bc1ed196b5328faf2ff7464ddde7f5179184cfc411c10d3a6c5a7989"


def test_another_seed_gives_other_weights():
    first, second = SPEC.seeded(0, NANO), SPEC.seeded(1, NANO)
    same = [key for key in first if np.array_equal(first[key], second[key])]
    assert all(key.endswith("num_batches_tracked") for key in same)


def test_a_tensor_depends_on_no_other_key():
    one, eighty = SPEC.seeded(3, NANO), SPEC.seeded(3, megvii_variant("nano", 80))
    assert one.keys() == eighty.keys()
    other = [key for key in one if not np.array_equal(one[key], eighty[key])]
    assert other
    assert all(key.startswith("head.cls_preds.") for key in other)


def test_scores_start_low():
    state = SPEC.seeded(0, DEFAULT_VARIANT)
    for scale in range(3):
        for kind in ("cls", "obj"):
            bias = state[f"head.{kind}_preds.{scale}.bias"]
            assert ((bias >= -3) & (bias <= -2)).all()


def test_filters_of_a_convolution_ignore_what_the_channels_share():
    weight = SPEC.seeded(0, NANO)["backbone.lateral_conv0.conv.weight"]
    assert np.abs(weight.sum(axis=1)).max() < 1e-5
    assert weight.std() * math.sqrt(weight.shape[1]) == pytest.approx(1.13, rel=0.05)


@pytest.mark.parametrize("convention", ["normalised", "0..255"])
@pytest.mark.parametrize(
    ("variant", "seed"),
    [
        (DEFAULT_VARIANT, 0),
        (DEFAULT_VARIANT, 11),
        *((NANO, seed) for seed in (0, 5, 19)),
        *((megvii_variant(size, 80), seed) for size in ("nano", "tiny", "s") for seed in (0, 8)),
    ],
    ids=lambda value: getattr(value, "title", value),
)
def test_all_outputs_vary_over_positions_and_pictures(variant, seed, convention):
    images = pictures() if convention == "0..255" else normalised(pictures())
    network = fuse(SPEC.build_network(SPEC.seeded(seed, variant)))
    with torch.no_grad():
        outputs = network(torch.from_numpy(images))
    for name, value in outputs.items():
        assert 0.25 < value.std() < 5, name
        assert value.std(dim=(2, 3)).min() > 0.1, f"{name} is near-constant over positions"
        assert (value[0] - value[1]).abs().mean() > 0.15, f"{name} is near-constant between pictures"
        assert value.abs().max() < 20, name
        if name.startswith("reg"):
            assert value.max() < 6, f"{name}: boxes of {math.exp(value.max()):.0f} strides"
