"""Scores by name, as the network gives them."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from cvport.models.hand_static.postprocess import PostprocessParams, postprocess
from cvport.models.hand_static.spec import SPEC
from cvport.models.ops.whole_image import ImageTransform

FRAME = ImageTransform(640, 480)


def test_scores_are_taken_as_they_are():
    scores = np.float32([[0.1, 0.9, 0.95], [0.2, 0.1, 0.0]])
    first, second = postprocess({"scores": scores}, [FRAME, FRAME], PostprocessParams(), ["a", "b", "c"])
    np.testing.assert_array_equal(first.scores, scores[0])
    assert first.scores.dtype == np.float32
    assert first.labels == ("a", "b", "c")
    assert (first.label, first.top(2)) == ("c", [("c", pytest.approx(0.95)), ("b", pytest.approx(0.9))])
    assert second.label == "a"


def test_a_result_stays_when_the_outputs_are_used_again():
    scores = np.float32([[0.1, 0.9]])
    (result,) = postprocess({"scores": scores}, [FRAME], PostprocessParams(), ("a", "b"))
    scores[:] = 0
    assert result.label == "b"


def test_rows_that_only_fill_a_batch_give_no_result():
    assert (
        len(postprocess({"scores": np.ones((4, 15), np.float32)}, [FRAME] * 3, PostprocessParams(), SPEC.labels)) == 3
    )


@pytest.mark.parametrize("place", ["astronaut.whole", "astronaut.box", "astronaut_crop.whole", "astronaut_crop.box"])
def test_upstreams_label_and_scores_from_its_network_input(golden, place):
    name, part = place.split(".")
    recorded = golden.notes["images"][name][part]
    with torch.inference_mode():
        outputs = SPEC.build_network(golden.state)(torch.from_numpy(golden.arrays[f"{place}.input"]))
    arrays = {key: value.numpy() for key, value in outputs.items()}
    (result,) = postprocess(arrays, [FRAME], PostprocessParams(), SPEC.labels)
    assert result.label == recorded["upstream_output"]
    np.testing.assert_allclose(result.scores, recorded["sigmoid"], rtol=0, atol=1e-5)
    best, second = (score for _, score in result.top(2))
    assert best - second == pytest.approx(recorded["top1_margin"], abs=1e-5)


def test_numpy_alone_is_imported():
    code = "import sys, cvport.models.hand_static.postprocess as m; "
    code += "sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
