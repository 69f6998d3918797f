"""Two predictors on the same images: which stage differs first, and by how much."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import cvport
from cvport.errors import UsageError
from cvport.exporters.gate.probes import scene
from cvport.runtimes.load import load

CONF = {"score_threshold": 0.15, "max_detections": 10}
IMAGES = [scene(120, 160, seed=5), scene(90, 70, seed=9)]


@pytest.fixture
def two(nano_artifact):
    """The exported file, opened twice."""
    with load(nano_artifact.onnx, backend="onnx", **CONF) as one, load(nano_artifact.onnx, backend="onnx", **CONF) as b:
        yield one, b


class Changed:
    """A backend whose outputs are changed."""

    def __init__(self, backend, change):
        self._backend, self._change = backend, change

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def run(self, inputs):
        return self._change(self._backend.run(inputs))


def test_file_and_network_agree(nano_artifact):
    options = {"backend": "torch", "weights": nano_artifact.weights, **CONF}
    with load(nano_artifact.onnx, backend="onnx", **CONF) as file, load(nano_artifact.onnx, **options) as network:
        comparison = cvport.compare(network, file, IMAGES)
    assert (comparison.verdict, comparison.stage) == ("passed", None)
    assert comparison.limits.decoded.derived == "parity.json, onnx"
    first = comparison.pairs[0]
    assert first.source == "image 0"
    assert first.figures["matched"] == first.figures["reference"] > 0
    assert 0 < first.figures["network"]["cls_0"]["max_abs"] < first.figures["network"]["cls_0"]["limit"]
    assert len(first.rows) == first.figures["matched"]
    assert first.rows[0]["same"] is True


def test_preprocessing_comes_first(two):
    one, other = two
    other.preprocess_params = replace(other.preprocess_params, pad_value=0)
    comparison = cvport.compare(one, other, IMAGES)
    assert (comparison.verdict, comparison.stage) == ("failed", "preprocess")
    assert comparison.pairs[0].reasons[0] == "preprocess: inputs differ by 114"
    assert all(figures["max_abs"] == 0 for figures in comparison.pairs[0].figures["network"].values()), "it is right"


def test_network_is_named_where_its_outputs_differ(two):
    one, other = two
    other.backend = Changed(other.backend, lambda outputs: outputs | {"reg_1": outputs["reg_1"] * np.float32(1.01)})
    comparison = cvport.compare(one, other, IMAGES)
    assert (comparison.verdict, comparison.stage) == ("failed", "network")
    assert comparison.pairs[0].reasons[0].startswith("network: reg_1: max abs ")
    assert comparison.pairs[0].figures["network"]["cls_1"]["max_abs"] == 0


def test_values_that_are_not_finite_fail(two):
    one, other = two
    other.backend = Changed(other.backend, lambda outputs: outputs | {"cls_0": outputs["cls_0"] * np.float32("nan")})
    comparison = cvport.compare(one, other, IMAGES[:1])
    assert (comparison.verdict, comparison.stage) == ("failed", "network")
    assert "not finite" in comparison.pairs[0].reasons[0]
    text = json.dumps(comparison.to_dict(), allow_nan=False)
    assert json.loads(text)["pairs"][0]["figures"]["network"]["cls_0"]["max_abs"] == "nan"


def test_postprocessing_is_named_where_the_rest_is_equal(two):
    one, other = two
    other.postprocess_params = replace(other.postprocess_params, score_threshold=0.9)
    comparison = cvport.compare(one, other, IMAGES)
    assert (comparison.verdict, comparison.stage) == ("failed", "postprocess")
    assert "only in the reference" in comparison.pairs[0].reasons[0]


def test_labels_are_part_of_it(two):
    one, other = two
    other.labels = ("a", "b", "c")
    comparison = cvport.compare(one, other, IMAGES[:1])
    assert (comparison.verdict, comparison.stage) == ("failed", "postprocess")
    assert "label" in comparison.pairs[0].reasons[0]


def test_other_sizes_differ_before_the_network(two, nano_artifact):
    one, _ = two
    options = cvport.VariantOptions(input_size=(192, 192), preprocess="megvii", activation="silu")
    with load("yolox", backend="torch", weights=nano_artifact.weights, options=options, **CONF) as larger:
        comparison = cvport.compare(larger, one, IMAGES[:1])
    assert comparison.stage == "preprocess"
    assert comparison.pairs[0].reasons[0] == "preprocess: inputs of (3, 192, 192) and (3, 160, 160)"
    assert "network" not in comparison.pairs[0].figures


def test_tolerances_replace_limits(two):
    one, other = two
    other.backend = Changed(other.backend, lambda outputs: {k: v * np.float32(1.001) for k, v in outputs.items()})
    assert cvport.compare(one, other, IMAGES[:1]).verdict == "failed"
    wide = ["*:rtol=0.01", "decoded:score=0.1", "decoded:px=5", "decoded:iou=0.5", "decoded:mean_score=0.1"]
    assert cvport.compare(one, other, IMAGES[:1], tolerances=wide).verdict == "passed"
    with pytest.raises(UsageError, match="no output"):
        cvport.compare(one, other, IMAGES[:1], tolerances=["nothing:atol=1"])


def test_files_of_a_fixed_batch(two, nano_batch_2):
    one, _ = two
    with load(nano_batch_2.onnx, backend="onnx", **CONF) as other:
        assert cvport.compare(one, other, IMAGES[:1]).verdict == "passed"
        assert cvport.compare(other, one, IMAGES[:1]).verdict == "passed"


def test_two_models_are_refused(two):
    with load("hand_static", backend="torch", weights="seeded") as other, pytest.raises(UsageError, match="two models"):
        cvport.compare(two[0], other, IMAGES)


def test_what_cannot_be_read_costs_itself(two, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), IMAGES[0])
    (tmp_path / "b.png").write_text("no image")
    comparison = cvport.compare(*two, tmp_path)
    assert [pair.source for pair in comparison.pairs] == [str(tmp_path / "a.png")]
    ((source, error),) = comparison.errors
    assert source == str(tmp_path / "b.png")
    assert comparison.to_dict()["errors"] == [{"source": source, "code": 3, "message": error.message}]
    assert cvport.compare(*two, [IMAGES[0], tmp_path / "a.png"]).pairs[1].source == str(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["landmarks68", "emotion"])
def test_other_kinds(name):
    with load(name, backend="torch", weights="seeded") as one, load(name, backend="torch", weights="seeded") as other:
        same = cvport.compare(one, other, IMAGES[:1])
        assert same.verdict == "passed"
        assert same.limits.decoded.derived == "default for fp32"
        assert same.pairs[0].rows
        other.backend = Changed(other.backend, lambda outputs: {k: v * np.float32(1.1) for k, v in outputs.items()})
        assert cvport.compare(one, other, IMAGES[:1]).stage == "network"
