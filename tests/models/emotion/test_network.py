"""The network against what transformers computes with the same weights."""

import importlib.util
import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from cvport.errors import BackendError, WeightsError
from cvport.models.emotion import network as network_module
from cvport.models.emotion.spec import SPEC


@pytest.fixture(scope="module")
def network(golden):
    return SPEC.build_network(golden.state)


def test_keys_and_shapes_and_parameters_are_upstreams(golden, network):
    entries = {entry["transformers5_key"]: tuple(entry["shape"]) for entry in golden.manifest["entries"]}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == entries
    assert len(entries) == 200
    assert sum(parameter.numel() for parameter in network.parameters()) == 85_804_039


def test_outputs_are_upstreams(golden, network):
    x = torch.from_numpy(golden.input)
    seen = {}
    hooks = [
        part.register_forward_hook(lambda _part, _inputs, output, name=name: seen.update({name: output}))
        for name, part in {"embedded": network.vit.embeddings, "tokens": network.vit.layernorm}.items()
    ]
    with torch.inference_mode():
        logits = network(x)["logits"]
        exported = SPEC.export_form(network)(x)["logits"]
    for hook in hooks:
        hook.remove()
    first = golden.outputs["embeddings_out"]
    np.testing.assert_allclose(seen["embedded"][:, : first.shape[1]], first, rtol=0, atol=1e-4)
    np.testing.assert_allclose(seen["tokens"][:, 0], golden.outputs["last_hidden_cls"], rtol=0, atol=1e-4)
    # Between two ways of computing the same, 3e-6 is usual.
    np.testing.assert_allclose(logits, golden.outputs["logits"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(exported, golden.outputs["logits"], rtol=0, atol=2e-5)


def test_logits_of_pictures_are_upstreams(golden, network):
    names = [name for name in golden.arrays if name.endswith(".whole.pil.input")]
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.concatenate([golden.arrays[name] for name in names])))["logits"]
    expected = np.concatenate([golden.arrays[name.replace("input", "logits")] for name in names])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"heads": 4}, {"activation": "quick_gelu"}, {"qkv_bias": False}], ids=str)
def test_small_networks_are_transformers_own(small, changes):
    variant = replace(small, **changes)
    config = ViTConfig(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=variant.heads,
        intermediate_size=192,
        hidden_act=variant.activation,
        image_size=48,
        patch_size=16,
        qkv_bias=variant.qkv_bias,
        num_labels=7,
    )
    state = SPEC.seeded(0, variant)
    upstream = ViTForImageClassification(config).eval()
    upstream.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    x = torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, expected = SPEC.build_network(state, variant)(x)["logits"], upstream(x).logits
    # The exact GELU is written out here, everything else is theirs.
    tolerance = 1e-5 if variant.activation == "gelu" else 0
    torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance)


def test_built_network_is_for_inference(small):
    network = SPEC.build_network(SPEC.seeded(0, small))
    assert network.variant == small
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])
    with torch.inference_mode():
        outputs = network(torch.zeros(2, 3, 48, 48))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"logits": (2, 7)}
    assert tuple(outputs) == SPEC.output_names


def test_a_missing_a_foreign_and_a_misshapen_key_are_listed(small):
    state = SPEC.seeded(0, small)
    del state["vit.layers.1.attention.k_proj.weight"]
    state["vit.layers.0.mlp.fc3.weight"] = np.zeros((4, 16), np.float32)
    state["classifier.weight"] = np.zeros((7, 64), np.float32)
    with pytest.raises(WeightsError) as caught:
        SPEC.build_network(state)
    assert "1 missing, 1 unexpected, 1 misshapen" in caught.value.message
    assert "vit.layers.1.attention.k_proj.weight" in caught.value.message
    assert "vit.layers.0.mlp.fc3.weight" in caught.value.message


def test_given_variant_is_built(small):
    with pytest.raises(WeightsError, match=r"classifier\.weight has \(7, 128\), needs \(6, 128\)"):
        SPEC.build_network(SPEC.seeded(0, small), replace(small, num_classes=6))


def test_transformers_says_nothing(small, capfd, caplog, monkeypatch):
    # Commands that ran in this process before have set a handler of their own.
    monkeypatch.setattr(logging.root, "handlers", [caplog.handler])
    with caplog.at_level(logging.DEBUG):
        network = SPEC.build_network(SPEC.seeded(0, small))
        network(torch.zeros(1, 3, 48, 48))
    assert capfd.readouterr() == ("", "")
    assert [record.name for record in caplog.records] == ["cvport.models.weights.loading"]


def test_without_transformers_the_next_step_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    spec = importlib.util.spec_from_file_location("cvport.models.emotion.again", network_module.__file__)
    with pytest.raises(BackendError, match="transformers cannot be imported") as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert "cvport[torch]" in caught.value.hint
