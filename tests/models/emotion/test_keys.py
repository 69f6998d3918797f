"""The two names of every tensor, and what is left out."""

import logging

import numpy as np
import pytest

from cvport.errors import WeightsError
from cvport.models.emotion.keys import module_key
from cvport.models.emotion.spec import SPEC


def test_every_key_of_the_hubs_files_becomes_the_networks(golden):
    entries = golden.manifest["entries"]
    assert [module_key(entry["key"]) for entry in entries] == [entry["transformers5_key"] for entry in entries]
    assert [module_key(entry["transformers5_key"]) for entry in entries] == [
        entry["transformers5_key"] for entry in entries
    ]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("vit.encoder.layer.11.attention.attention.key.bias", "vit.layers.11.attention.k_proj.bias"),
        ("vit.encoder.layer.0.attention.output.dense.weight", "vit.layers.0.attention.o_proj.weight"),
        ("vit.encoder.layer.7.output.dense.weight", "vit.layers.7.mlp.fc2.weight"),
        ("vit.encoder.layer.7.layernorm_after.bias", "vit.layers.7.layernorm_after.bias"),
        ("vit.encoder.layer.7.surprise.weight", "vit.layers.7.surprise.weight"),
        ("vit.layernorm.weight", "vit.layernorm.weight"),
        ("classifier.bias", "classifier.bias"),
    ],
)
def test_keys(key, expected):
    assert module_key(key) == expected


def test_what_only_training_needs_is_left_out_and_told(caplog):
    value = np.zeros(3, np.float32)
    extra = (
        "vit.pooler.dense.weight",
        "vit.pooler.dense.bias",
        "vit.embeddings.mask_token",
        "vit.embeddings.position_ids",
    )
    with caplog.at_level(logging.INFO):
        state = SPEC.inference_state({"classifier.bias": value, **dict.fromkeys(extra, value)})
    assert list(state) == ["classifier.bias"]
    assert state["classifier.bias"] is value
    assert "left out 4 tensors" in caplog.text


def test_nothing_is_told_where_nothing_is_left_out(caplog):
    with caplog.at_level(logging.INFO):
        SPEC.inference_state({"vit.embeddings.position_embeddings": np.zeros(3)})
    assert not caplog.text


def test_a_tensor_under_both_names_is_refused():
    keys = ("vit.encoder.layer.0.output.dense.bias", "vit.layers.0.mlp.fc2.bias")
    with pytest.raises(WeightsError, match=r"twice: vit\.encoder\.layer\.0\.output\.dense\.bias"):
        SPEC.inference_state(dict.fromkeys(keys, np.zeros(3, np.float32)))
