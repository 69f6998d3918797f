"""Untrained weights: the same everywhere, and informative to compare."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cvport.exporters.gate.probes import built_in_cases
from cvport.models.emotion.preprocess import PreprocessParams, preprocess
from cvport.models.emotion.spec import SPEC
from cvport.models.emotion.variant import DEFAULT_VARIANT
from helpers.weights import digest


def test_the_same_seed_gives_the_same_bits_on_every_machine(small):
    assert digest(SPEC.seeded(0, small)) == "67b22004de2cece7a044471e0402361dbe13bebf1458c92a4d943fc74a28d75e"


def test_another_seed_gives_other_weights(small):
    first, second = SPEC.seeded(0, small), SPEC.seeded(1, small)
    assert not [key for key in first if np.array_equal(first[key], second[key])]


def test_shapes_and_scales(small):
    state = SPEC.seeded(0, small)
    assert state["vit.embeddings.position_embeddings"].shape == (1, 10, 128)
    assert state["vit.embeddings.cls_token"].shape == (1, 1, 128)
    assert 0.4 < state["vit.embeddings.position_embeddings"].std() < 0.6
    assert state["vit.layers.0.layernorm_before.weight"].min() > 0.75
    assert {value.dtype for value in state.values()} == {np.dtype(np.float32)}


@pytest.fixture(scope="module")
def inputs():
    pictures = [region.image for case in built_in_cases("dynamic") for region in case.regions]
    return np.stack([preprocess(picture, PreprocessParams())[0] for picture in pictures])


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_logits_vary_between_pictures_and_no_two_share_the_first_place(inputs, seed):
    # Width and input of the published size; the full number of layers takes seconds.
    variant = replace(DEFAULT_VARIANT, layers=2)
    network = SPEC.build_network(SPEC.seeded(seed, variant))
    with torch.inference_mode():
        logits = network(torch.from_numpy(inputs))["logits"]
        exact = network.double()(torch.from_numpy(inputs).double())["logits"]
    error = (logits - exact).abs().max()
    assert error < 2e-5
    # Each class on its own: 20 limits of 10 errors.
    assert logits.std(dim=0).min() > 1000 * error
    best = logits.softmax(dim=1).sort(dim=1, descending=True).values
    assert (best[:, 0] - best[:, 1]).min() > 1e-3
    assert best[:, 0].max() < 1 - 1e-4
