"""The probe: its image is the same everywhere, its values are well chosen, and what is compared is what differs."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from cvport.errors import ArtifactError
from cvport.models.registry import get_model
from cvport.models.yolox.preprocess import params_for
from cvport.runtimes.probe import (
    MOST_VALUES,
    Probe,
    Samples,
    draw_image,
    measure_probe,
    probe_input,
    read_probe,
    sample,
)

# --- the image


@pytest.mark.parametrize(
    ("size", "seed", "digest"),
    [
        ((112, 112), 1, "5d25f3d37568b1f3"),
        ((160, 320), 1, "98d3218233844b21"),
        ((640, 640), 4_294_967_295, "0e1265ab154351b1"),
    ],
)
def test_image_is_the_same_everywhere(size, seed, digest):
    image = draw_image(size, seed)
    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("size", [(32, 32), (112, 112), (416, 416), (640, 320)])
def test_image_has_the_contrast_of_a_photograph(size):
    image = draw_image(size, 1).astype(float)
    assert 40 < image.std() < 80
    assert abs(np.diff(image, axis=1)).mean() < 20, "soft"
    assert ((image == 0) | (image == 255)).mean() < 0.1
    assert abs(image - image.mean(axis=2, keepdims=True)).mean() > 5, "it has colours"


def test_other_seeds_are_other_images():
    one, other = (draw_image((64, 64), seed).astype(float).ravel() for seed in (1, 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_input_is_preprocessed_as_sealed_and_repeated():
    spec, params = get_model("yolox"), params_for("easycv", (64, 96))
    inputs = probe_input(spec, params, (64, 96), 7, rows=3)
    assert (inputs.shape, inputs.dtype) == ((3, 3, 64, 96), np.float32)
    blue = draw_image((64, 96), 7)[..., 0]
    np.testing.assert_allclose(inputs[2, 2], (blue - 103.53) / 57.375, rtol=1e-5, atol=1e-6)


# --- the values


def test_the_largest_magnitudes_are_among_the_samples():
    values = np.random.default_rng(0).standard_normal((4, 10, 10))
    samples = sample(values, 9, seed=1)
    assert list(samples.indices) == sorted(set(samples.indices))
    assert len(samples.indices) == 9
    largest = np.argsort(-abs(values.ravel()))[:5]
    assert set(largest.tolist()) <= set(samples.indices)
    np.testing.assert_allclose(samples.values, values.ravel()[list(samples.indices)], rtol=5e-5)
    assert samples.largest == pytest.approx(abs(values).max(), rel=5e-5)


def test_the_other_samples_are_spread():
    values = np.zeros(10_000)
    values[:4] = 5.0
    indices = np.array(sample(values, 64, seed=1).indices)
    others = indices[indices >= 32]
    assert len(others) >= 30
    assert np.histogram(others, 4, (0, 10_000))[0].min() >= 3
    assert set(sample(values, 64, seed=2).indices) != set(indices.tolist())


def test_a_small_output_is_sampled_whole():
    samples = sample(np.array([[3.0, -4.0, 0.0]]), 20, seed=1)
    assert samples.indices == (0, 1, 2)
    assert samples.values.tolist() == [3.0, -4.0, 0.0]


def test_values_have_five_digits():
    given = [123456.789, -0.000123456789, 98765.4321, 1e-12, 0.0, -0.0]
    values = sample(np.array(given), 20, seed=1).values.tolist()
    assert values == [123460.0, -0.0001, 98765.0, 0.0, 0.0, 0.0]
    assert not any(np.signbit(value) for value in values[-3:]), "no negative zero, which depends on the machine"
    assert sample(np.array([0.000123456789, 1.0]), 20, seed=1).values.tolist() == [0.00012346, 1.0]


def test_errors_of_another_machine_change_nothing():
    values = np.random.default_rng(1).standard_normal(5000)
    noise = 1 + 1e-14 * np.random.default_rng(2).standard_normal(5000)
    one, other = sample(values, 200, seed=1), sample(values * noise, 200, seed=1)
    assert one.indices == other.indices
    assert one.values.tolist() == other.values.tolist()


# --- comparing

PROBE = Probe(1, {"a": Samples((1, 4), np.array([2.0, -1000.0])), "b": Samples((0,), np.array([0.0]))})


def outputs(a=(9, 2.0, 9, 9, -1000.0, 9), b=(0.0,), rows=1):
    return {
        name: np.repeat(np.array([values], np.float32), rows, axis=0).reshape(rows, -1, 1)
        for name, values in (("a", a), ("b", b))
    }


def measure(given, rows=1):
    found = measure_probe(PROBE, given, rows, "x.onnx")
    return {name: stats.max_abs for name, stats in found.items()}


def test_what_rounding_explains_is_no_difference():
    assert measure(outputs()) == {"a": 0, "b": 0}
    assert measure(outputs(a=(9, 2.00004, 9, 9, -1000.04, 9))) == {"a": 0, "b": 0}
    assert measure(outputs(a=(9, 2.00025, 9, 9, -1000.0, 9)))["a"] == pytest.approx(0.0002, rel=1e-2)
    assert measure(outputs(a=(9, 2.0, 9, 9, -1000.25, 9)))["a"] == pytest.approx(0.2, rel=1e-6)
    assert measure(outputs(b=(1e-6,)))["b"] == pytest.approx(1e-6), "zero was not rounded"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_seen(value):
    stats = measure_probe(PROBE, outputs(a=(9, value, 9, 9, -1000.0, 9)), 1, "x.onnx")
    assert (stats["a"].finite, stats["b"].finite) == (False, True)


def test_the_worst_row_counts():
    given = outputs(rows=3)
    given["b"][2] = 7
    assert measure(given, rows=3) == {"a": 0, "b": 7}


@pytest.mark.parametrize(("given", "rows"), [(outputs(a=(1, 2, 3, 4)), 1), (outputs(rows=2), 1), (outputs(), 2)])
def test_a_probe_of_another_file_is_refused(given, rows):
    with pytest.raises(ArtifactError, match="does not fit the file: it expects a value at index 4 of a") as error:
        measure(given, rows)
    assert error.value.hint


# --- the seal

NAMES = ("a", "b")
GOOD = PROBE.to_dict()


def read(content, names=NAMES):
    return read_probe(SimpleNamespace(model="yolox", probe=content), names, "x.onnx")


def test_round_trip():
    probe = read(json.loads(json.dumps(GOOD)))
    assert probe.seed == 1
    assert list(probe.outputs) == ["a", "b"]
    assert probe.outputs["a"].indices == (1, 4)
    assert probe.outputs["a"].values.tolist() == [2.0, -1000.0]
    assert probe.to_dict() == GOOD


def test_a_seal_without_a_probe_says_what_to_do():
    with pytest.raises(ArtifactError, match=r"x\.onnx holds no expected values") as error:
        read(None)
    assert error.value.exit_code == 4
    assert "cvexport yolox" in error.value.hint


@pytest.mark.parametrize("version", [2, "1", True, None])
def test_another_version_is_refused(version):
    with pytest.raises(ArtifactError, match="probe of version"):
        read(GOOD | {"version": version})


def changed(**changes):
    return GOOD | {"outputs": GOOD["outputs"] | {"a": GOOD["outputs"]["a"] | changes}}


MANY = {"indices": list(range(MOST_VALUES)), "values": [0.5] * MOST_VALUES}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD | {"more": 1}, "fields version, seed, outputs, more"),
        ({"version": 1, "outputs": {}}, "fields version, outputs"),
        (GOOD | {"seed": -1}, "its seed is -1"),
        (GOOD | {"seed": 2**32}, "its seed is"),
        (GOOD | {"seed": 1.0}, "its seed is 1.0"),
        (GOOD | {"seed": True}, "its seed is True"),
        (GOOD | {"outputs": []}, "about the outputs list; the network has a, b"),
        (GOOD | {"outputs": {"a": GOOD["outputs"]["a"]}}, "about the outputs a; the network has a, b"),
        (GOOD | {"outputs": GOOD["outputs"] | {"c": {}}}, "about the outputs a, b, c;"),
        (GOOD | {"outputs": GOOD["outputs"] | {"a": MANY}}, "257 values, 256 are allowed"),
        (GOOD | {"outputs": GOOD["outputs"] | {"a": [1]}}, "a has no indices and values"),
        (changed(extra=1), "a has no indices and values"),
        (changed(indices=[1]), "the values of a"),
        (changed(indices=[], values=[]), "the indices of a"),
        (changed(indices=[4, 1]), "the indices of a"),
        (changed(indices=[1, 1]), "the indices of a"),
        (changed(indices=[-1, 4]), "the indices of a"),
        (changed(indices=[1.0, 4]), "the indices of a"),
        (changed(indices=[True, 4]), "the indices of a"),
        (changed(indices="14"), "the indices of a"),
        (changed(values=[1.0, None]), "the values of a"),
        (changed(values=[1.0, "2"]), "the values of a"),
        (changed(values=[1.0, float("nan")]), "the values of a"),
        (changed(values=[1.0, 10**400]), "the values of a"),
        (changed(values={"1": 1}), "the values of a"),
    ],
)
def test_damage_is_told(content, message):
    with pytest.raises(ArtifactError, match=r"the probe of x\.onnx cannot be used: ") as error:
        read(content)
    assert message in error.value.message
    assert (error.value.exit_code, bool(error.value.hint)) == (4, True)


def test_an_index_beyond_every_array_is_told():
    probe = read(changed(indices=[1, 10**30]))
    with pytest.raises(ArtifactError, match="does not fit the file"):
        measure_probe(probe, outputs(), 1, "x.onnx")
