"""Untrained weights: the same everywhere, and informative to compare."""

import numpy as np
import pytest
import torch

from cvport.exporters.gate.probes import built_in_cases
from cvport.models.hand_static.preprocess import PreprocessParams, preprocess
from cvport.models.hand_static.spec import SPEC
from cvport.models.hand_static.variant import DEFAULT_VARIANT
from cvport.models.ops.fusion import fuse
from helpers.weights import digest


def test_the_same_seed_gives_the_same_bits_on_every_machine():
    assert digest(SPEC.seeded(0, DEFAULT_VARIANT)) == "19ceb3c00ce0e751f5b3c6a4f8c668089102868ea6918b23714af1728d47824f"


def test_another_seed_gives_other_weights():
    first, second = SPEC.seeded(0, DEFAULT_VARIANT), SPEC.seeded(1, DEFAULT_VARIANT)
    same = [key for key in first if np.array_equal(first[key], second[key])]
    assert all(key.endswith("num_batches_tracked") for key in same)


def test_slopes_are_as_trained_ones():
    slopes = np.concatenate([value for key, value in SPEC.seeded(0, DEFAULT_VARIANT).items() if ".prelu." in key])
    assert len(slopes) == 7552
    assert 0.1 <= slopes.min() < 0.11
    assert 0.29 < slopes.max() <= 0.3


@pytest.fixture(scope="module")
def inputs():
    pictures = [region.image for case in built_in_cases("dynamic") for region in case.regions]
    return torch.from_numpy(np.stack([preprocess(picture, PreprocessParams())[0] for picture in pictures]))


@pytest.mark.parametrize("seed", [0, 1, 7, 12])
def test_every_score_tells_pictures_apart_and_no_two_are_tied(inputs, seed):
    network = SPEC.build_network(SPEC.seeded(seed, DEFAULT_VARIANT))
    with torch.inference_mode():
        scores = fuse(network)(inputs)["scores"]
        exact = network.double()(inputs.double())["scores"]
    noise = (scores - exact).abs().max()
    assert noise < 3e-6
    assert scores.std(dim=0).min() > 0.03
    assert 0.001 < scores.min() < 0.2
    assert 0.8 < scores.max() < 0.999
    best, second = scores.topk(2, dim=1).values.T
    assert (best - second).min() > 100 * noise
    assert len(set(scores.argmax(dim=1).tolist())) > 1
