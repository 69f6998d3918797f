"""Expected values of a file: those of the network in float64, few, and the same each time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from cvport.exporters.export import export
from cvport.exporters.probe import make_probe
from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.runtimes.probe import MOST_VALUES, probe_input
from cvport.runtimes.seal import read_seal


def make(exported, network=None):
    return make_probe(exported.spec, exported.plan, network or exported.network)


def test_values_are_those_of_the_network_in_float64(small):
    probe = make(small)
    assert list(probe["outputs"]) == list(small.spec.output_names)
    network = small.build().double()
    inputs = probe_input(small.spec, small.plan.preprocess, (160, 160), probe["seed"])
    with torch.inference_mode():
        expected = {name: value.numpy() for name, value in network(torch.from_numpy(inputs).double()).items()}
    for name, samples in probe["outputs"].items():
        values = expected[name][0].ravel()
        assert samples["values"] == [float(f"{value:.4e}") for value in values[samples["indices"]]]
        assert max(map(abs, samples["values"])) == pytest.approx(abs(values).max(), rel=5e-5)


def test_the_values_are_few_and_shared_evenly(small):
    counts = {name: len(samples["indices"]) for name, samples in make(small)["outputs"].items()}
    assert sum(counts.values()) <= MOST_VALUES
    # cls has 3 x 5 x 5 values at stride 32, obj 5 x 5: fewer than its share.
    assert counts == dict.fromkeys(counts, MOST_VALUES // 9) | {"obj_2": 25}


def test_the_network_is_as_before(small):
    network = small.build()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    make(small, network)
    after = network.state_dict()
    assert all(after[key].dtype == value.dtype and torch.equal(after[key], value) for key, value in before.items())


def test_the_number_of_threads_changes_nothing(small):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = make(small)
        torch.set_num_threads(2)
        two = make(small)
    finally:
        torch.set_num_threads(threads)
    assert json.dumps(one) == json.dumps(two)


def test_a_network_without_finite_values_has_none(small):
    name = "head.obj_preds.2.weight"
    network = small.build(**{name: np.full_like(small.checkpoint.state[name], np.nan)})
    assert make(small, network) is None


@pytest.mark.parametrize(("name", "counts"), [("hand_static", {"scores": 15}), ("landmarks68", {"landmarks": 136})])
def test_small_outputs_are_sampled_whole(name, counts):
    spec = get_model(name)
    state = spec.seeded(0)
    plan = spec.plan(Checkpoint(state, "seeded:0", "0" * 64, untrained=True))
    probe = make_probe(spec, plan, spec.build_network(state, plan.variant))
    assert {output: len(samples["indices"]) for output, samples in probe["outputs"].items()} == counts


def test_every_export_seals_it_and_gives_the_same_bytes(quick, small, weights, tmp_path):
    options = VariantOptions(input_size=(160, 160), preprocess=small.plan.preprocess.convention)
    files = [export("yolox", weights=weights, output=tmp_path / name, options=options).onnx for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert read_seal(files[0]).probe == make(small)
