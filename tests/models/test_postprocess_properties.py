"""Whatever a network gives, each row of a batch is decoded as it is alone, and results are what their kind says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvport.models.registry import MODELS
from fuzz import decoding
from fuzz.judging import SilentChangeError


@pytest.mark.parametrize("model", range(len(MODELS)), ids=list(MODELS))
def test_batches_equal_singles(model):
    @settings(max_examples=80)
    @given(st.binary(min_size=11, max_size=11), st.binary(min_size=1, max_size=300))
    def check(head, body):
        decoding.run(bytes([model]) + head + body)

    check()


def test_a_difference_is_seen(monkeypatch):
    spec = decoding.get_model("emotion")
    right = spec.postprocess

    def wrong(outputs, transforms, params, labels):
        (values,) = outputs.values()
        return right({"logits": values + len(transforms)}, transforms, params, labels)

    head = bytes([list(MODELS).index("emotion"), 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0])
    decoding.run(head + bytes(range(50, 150)))
    monkeypatch.setattr(type(spec), "postprocess", property(lambda _spec: wrong))
    with pytest.raises(SilentChangeError, match="in a batch"):
        decoding.run(head + bytes(range(50, 150)))
