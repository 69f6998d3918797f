"""Seals that were damaged in any way are refused with exit code 4, or mean what they say."""

from __future__ import annotations

import json
from random import Random

import pytest

from cvport.errors import ArtifactError
from cvport.models.registry import MODELS
from fuzz import seals
from fuzz.judging import judge
from fuzz.mutate import mutate_json

_EACH = 240


@pytest.mark.parametrize("name", MODELS)
def test_mutated_seals(name):
    seed = seals.seal_of(name).to_json().encode()
    seals.run(seed)
    refused = 0
    for number in range(_EACH):
        data = mutate_json(seed, Random(f"{name} {number}"))
        finding = judge(seals.TARGET, data)
        assert finding is None, f"{finding.text}\n{data[:2000]!r}"
        try:
            seals.run(data)
        except ArtifactError:
            refused += 1
    # Some changes are harmless: another title, another threshold.
    assert _EACH // 2 < refused < _EACH


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("preprocess", "mean", [10**400, 0, 0], "a number of more than 64 bits"),
        ("preprocess", "mean", [1e300, 0, 0], "which is not 3 numbers"),
        ("preprocess", "mean", [float("nan"), 0, 0], "a number that is not finite"),
        ("preprocess", "std", [1e-320, 1, 1], "has a 0, or nearly"),
        ("preprocess", "input_size", [64, 3], "is not that of the preprocessing"),
        ("postprocess", "max_detections", 2**40, "which is not a whole number"),
        ("weights", "untrained", "no", "have untrained 'no', which is not true or false"),
        ("weights", "assumed", [1], "have assumed"),
        ("weights", "mood", 1, "have an unknown entry 'mood'"),
        ("tools", "torch", None, "which is not an object of texts"),
        (None, "batch", 10**9, "has more pixels than fit a network"),
        (None, "input_size", [10**9, 1], "has a side over"),
        (None, "opset", 10**9, "opset is no version"),
        (None, "title", "a\ud800", "a text that is no Unicode"),
        (None, "variant", {"a": json.loads("[" * 50 + "]" * 50)}, "nested more than 32 levels"),
    ],
)
def test_values_beyond_their_bounds(part, name, value, message):
    content = json.loads(seals.seal_of("yolox").to_json())
    (content if part is None else content[part])[name] = value
    with pytest.raises(ArtifactError) as refusal:
        seals.run(json.dumps(content).encode())
    assert message in refusal.value.message
    assert refusal.value.exit_code == 4
    assert refusal.value.hint


def test_a_name_that_stands_twice():
    text = seals.seal_of("yolox").to_json()
    with pytest.raises(ArtifactError, match="it holds 'labels' twice"):
        seals.run(f'{{"labels": ["a"], {text[1:]}'.encode())
