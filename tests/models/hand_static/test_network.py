"""The gesture classifier against what the original implementation computes with the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cvport.errors import WeightsError
from cvport.models.hand_static.spec import SPEC
from cvport.models.ops.fusion import fuse
from cvport.models.weights.loading import load_strict


def run(network, x):
    with torch.inference_mode():
        return network(torch.as_tensor(x))


@pytest.fixture(scope="module")
def network(golden):
    return SPEC.build_network(golden.state)


@pytest.fixture(scope="module")
def small_network(small):
    return SPEC.build_network(SPEC.seeded(0, small))


def test_keys_and_shapes_and_parameters_are_upstreams(golden, network):
    entries = {entry["key"]: tuple(entry["shape"]) for entry in golden.manifest["entries"]}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == entries
    assert str(load_strict(network, golden.state)) == "337/337 tensors, 1,268,111 parameters"


@pytest.mark.parametrize("fused", [False, True])
def test_embedding_and_scores_are_upstreams(golden, network, fused):
    network = fuse(network) if fused else network
    embedding = run(network.feature_extractor, golden.input)
    np.testing.assert_allclose(embedding, golden.outputs["embedding"], rtol=0, atol=1e-5)
    outputs = run(network, golden.input)
    assert list(outputs) == ["scores"]
    np.testing.assert_allclose(outputs["scores"], golden.outputs["output"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(torch.logit(outputs["scores"]), golden.outputs["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("place", ["astronaut.whole", "astronaut.box", "astronaut_crop.whole", "astronaut_crop.box"])
def test_scores_of_recorded_network_inputs(golden, network, place):
    scores = run(network, golden.arrays[f"{place}.input"])["scores"]
    np.testing.assert_allclose(scores, golden.arrays[f"{place}.output"], rtol=0, atol=1e-5)


def test_the_stored_normalisation_of_the_embedding_is_not_applied(golden, network):
    state = {**golden.state, "feature_extractor.bn.weight": golden.state["feature_extractor.bn.weight"] * 5}
    changed = SPEC.build_network(state)
    assert torch.equal(run(changed, golden.input)["scores"], run(network, golden.input)["scores"])


def test_embeddings_have_length_1_whatever_the_scale(small, small_network):
    state = small_network.state_dict()
    state["feature_extractor.linear.weight"] = state["feature_extractor.linear.weight"] * 1e-20
    tiny = SPEC.build_network(state)
    x = torch.randn(3, 3, *small.input_size, generator=torch.Generator().manual_seed(0))
    embedding = run(tiny.feature_extractor, x)
    assert embedding.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    np.testing.assert_allclose(embedding, run(small_network.feature_extractor, x), rtol=0, atol=1e-5)


def test_fusing_leaves_no_normalisation_and_keeps_the_original(small_network):
    fused = fuse(small_network)
    norms = nn.BatchNorm1d | nn.BatchNorm2d
    assert not [module for module in fused.modules() if isinstance(module, norms)]
    assert [module for module in small_network.modules() if isinstance(module, norms)]
    assert len([module for module in fused.modules() if isinstance(module, nn.PReLU)]) == 2 + 2 * (3 + 6) + 1


def test_built_network_is_for_inference(small_network):
    assert not small_network.training
    assert not any(parameter.requires_grad for parameter in small_network.parameters())
    assert {module.eps for module in small_network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-5}


def test_a_missing_and_a_foreign_key_are_listed(small):
    state = SPEC.seeded(0, small)
    del state["feature_extractor.conv_4.model.1.conv_dw.prelu.weight"]
    state["fc_layer.4.weight"] = np.zeros((4, 16), np.float32)
    with pytest.raises(WeightsError) as caught:
        SPEC.build_network(state)
    assert "1 missing, 1 unexpected" in caught.value.message
    assert "feature_extractor.conv_4.model.1.conv_dw.prelu.weight" in caught.value.message
    assert "fc_layer.4.weight" in caught.value.message


def test_given_variant_is_built(small):
    with pytest.raises(WeightsError, match=r"fc_layer\.2\.weight has \(15, 16\), needs \(4, 16\)"):
        SPEC.build_network(SPEC.seeded(0, small), replace(small, num_classes=4))
