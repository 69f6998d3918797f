"""Scores against a plain implementation and against what upstream's code recorded."""

import doctest
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cvport.models.emotion import postprocess as module
from cvport.models.emotion.postprocess import PostprocessParams, postprocess
from cvport.models.emotion.spec import SPEC
from cvport.models.ops.scores import softmax
from cvport.models.ops.whole_image import ImageTransform


def decode(logits, frames=None):
    frames = [ImageTransform(640, 480)] * len(logits) if frames is None else frames
    return postprocess({"logits": logits}, frames, PostprocessParams(), SPEC.labels)


@settings(max_examples=60, deadline=None)
@given(npst.arrays(np.float32, (2, 7), elements=st.floats(-100, 100, width=32)))
def test_scores_are_the_softmax(logits):
    for row, found in zip(logits.tolist(), decode(logits), strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        np.testing.assert_allclose(found.scores, [power / sum(powers) for power in powers], rtol=0, atol=1e-6)
        assert found.scores.dtype == np.float32
        assert float(found.scores.sum()) == pytest.approx(1, abs=1e-6)


def test_large_logits_do_not_overflow():
    logits = np.array([[1e4, 1e4, -1e4, 0, 0, 0, 0]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(softmax(logits), [[0.5, 0.5, 0, 0, 0, 0, 0]])


def test_every_score_has_its_label_and_the_best_comes_first():
    (first, second) = decode(np.array([[0, 0, 0, 1, 0, 0, 3], [9, 0, 0, 0, 0, 0, 0]], np.float32))
    assert (first.labels, first.label, second.label) == (SPEC.labels, "happy", "sad")
    assert [label for label, _ in first][:2] == ["happy", "neutral"]


def test_rows_that_only_fill_a_batch_are_left_out():
    logits = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    found = decode(logits, [ImageTransform(1, 1)] * 3)
    assert len(found) == 3
    np.testing.assert_array_equal(found[2].scores, decode(logits)[2].scores)


def test_probabilities_of_upstream(golden):
    checked = 0
    for name, parts in golden.notes["images"].items():
        for part, recorded in parts.items():
            if not part.endswith(".pil"):
                continue
            (found,) = decode(golden.arrays[f"{name}.{part}.logits"])
            np.testing.assert_allclose(found.scores, recorded["probabilities"], rtol=0, atol=1e-6)
            assert found.label == recorded["label_public_doc"]
            checked += 1
    assert checked == 4


def test_example_of_the_module():
    assert doctest.testmod(module, extraglobs={"np": np}) == doctest.TestResults(0, 4)


def test_numpy_alone_is_imported():
    code = """
import sys
import cvport.models.emotion.postprocess
sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'PIL', 'transformers')))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
