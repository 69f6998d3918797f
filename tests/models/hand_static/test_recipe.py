"""Untrained weights: the same everywhere, and informative to compare."""

import hashlib

import numpy as np
import pytest
import torch
from cvport.exporters.gate.probes import built_in_cases
from cvport.models.hand_static.network import build_network
from cvport.models.hand_static.preprocess import PreprocessParams, preprocess
from cvport.models.hand_static.recipe import seeded_state
from cvport.models.hand_static.variant import DEFAULT_VARIANT
from cvport.models.ops.fusion import fuse


def digest(state):
    sha = hashlib.sha256()
    for key in sorted(state):
        sha.update(f"{key}{state[key].dtype}{state[key].shape}".encode())
        sha.update(state[key].tobytes())
    return sha.hexdigest()


def test_the_same_seed_gives_the_same_bits_on_every_machine():
    assert (
        digest(seeded_state(DEFAULT_VARIANT, 0)) == "19ceb3c00ce0e751f5b3c6a4f8c668089102868ea6918b23714af1728d47824f"
    )


def test_another_seed_gives_other_weights():
    first, second = seeded_state(DEFAULT_VARIANT, 0), seeded_state(DEFAULT_VARIANT, 1)
    same = [key for key in first if np.array_equal(first[key], second[key])]
    assert all(key.endswith("num_batches_tracked") for key in same)


def test_slopes_are_as_trained_ones():
    slopes = np.concatenate([value for key, value in seeded_state(DEFAULT_VARIANT, 0).items() if ".prelu." in key])
    assert len(slopes) == 7552
    assert 0.1 <= slopes.min() < 0.11
    assert 0.29 < slopes.max() <= 0.3


@pytest.fixture(scope="module")
def inputs():
    pictures = [view.image for case in built_in_cases("dynamic") for view in case.views]
    return torch.from_numpy(np.stack([preprocess(picture, PreprocessParams())[0] for picture in pictures]))


@pytest.mark.parametrize("seed", [0, 1, 7, 12])
def test_every_score_tells_pictures_apart_and_no_two_are_tied(inputs, seed):
    network = build_network(seeded_state(DEFAULT_VARIANT, seed))
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
