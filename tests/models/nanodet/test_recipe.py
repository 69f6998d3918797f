"""Untrained weights: the same everywhere, and informative to compare."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cvport.exporters.gate.probes import built_in_cases
from cvport.models.nanodet.preprocess import PreprocessParams, preprocess
from cvport.models.nanodet.spec import SPEC
from cvport.models.nanodet.variant import DEFAULT_VARIANT, PROJECT, SIZES
from cvport.models.ops.fusion import fuse
from helpers.weights import digest


def test_the_same_seed_gives_the_same_bits_on_every_machine():
    assert digest(SPEC.seeded(0, DEFAULT_VARIANT)) == "157ea51b522d02b058b188fdb6e1e5bdad7b3ae2276f53f3d424f24570307302"


def test_another_seed_gives_other_weights():
    first, second = SPEC.seeded(0, DEFAULT_VARIANT), SPEC.seeded(1, DEFAULT_VARIANT)
    same = [key for key in first if np.array_equal(first[key], second[key])]
    assert all(key.endswith("num_batches_tracked") or key == PROJECT for key in same)


def test_bins_are_numbered():
    assert SPEC.seeded(0, DEFAULT_VARIANT)[PROJECT].tolist() == list(range(8))


@pytest.fixture(scope="module")
def inputs():
    pictures = [region.image for case in built_in_cases("dynamic") for region in case.regions]
    return np.stack([preprocess(picture, PreprocessParams())[0] for picture in pictures])


@pytest.mark.parametrize(
    ("variant", "seed"),
    [
        *((DEFAULT_VARIANT, seed) for seed in (0, 1, 7, 12)),
        (replace(DEFAULT_VARIANT, num_classes=80), 0),
        (replace(DEFAULT_VARIANT, stages=SIZES["1.5x"], neck=128), 3),
    ],
    ids=lambda value: getattr(value, "title", value),
)
def test_all_outputs_vary_over_positions_and_pictures(inputs, variant, seed):
    with torch.inference_mode():
        outputs = fuse(SPEC.build_network(SPEC.seeded(seed, variant)))(torch.from_numpy(inputs))
    for name, value in outputs.items():
        assert 0.4 < value.std() < 4, name
        assert value.std(dim=(2, 3)).min() > 0.05, f"{name} is near-constant over positions"
        assert value.var(dim=0).mean().sqrt() > 0.1, f"{name} is near-constant between pictures"
        assert value.abs().max() < 25, name
