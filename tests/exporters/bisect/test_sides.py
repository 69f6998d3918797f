"""Parts of a network, run by ONNX Runtime and by torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvport.errors import ArtifactError
from cvport.exporters.bisect.graph import find_cuts
from cvport.exporters.bisect.sides import FileSide


def run(side, given, wanted):
    """What a side makes of one row."""
    (made,) = side.run([given], wanted)
    return made


@pytest.fixture(scope="module")
def file_side(searched):
    return FileSide(searched.model, searched.network.modules)


@pytest.fixture(scope="module")
def halves(searched, file_side):
    cuts = find_cuts(file_side.network, searched.network.values)
    return cuts[len(cuts) // 2], searched.inputs[0]


def test_network_gives_what_the_module_gives(searched):
    made = searched.made
    inputs = searched.inputs[0]
    names = made.spec.output_names
    found = run(searched.network, inputs, names)
    with torch.inference_mode():
        expected = made.spec.fuse(made.network)(torch.from_numpy(inputs[made.spec.input_name]))
    for name in names:
        np.testing.assert_allclose(found[name], expected[name].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("leg", ["network", "file"])
def test_two_halves_make_the_whole(searched, file_side, halves, leg):
    side = searched.network if leg == "network" else file_side
    cut, inputs = halves
    whole = run(side, inputs, side.outputs)
    middle = run(side, inputs, cut.live)
    assert set(middle) == set(cut.live)
    after = run(side, {**inputs, **middle}, side.outputs)
    for name, value in whole.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-5, atol=1e-6)


def test_both_legs_have_most_values_under_the_same_names(searched, file_side):
    made = [name for operator in file_side.network.operators for name in operator.outputs]
    shared = [name for name in made if name in searched.network.values]
    assert len(shared) > 0.65 * len(made), "SiLU is two operators of ONNX: the one between is not torch's"
    names = shared[:: len(shared) // 20]
    ours, theirs = (run(side, searched.inputs[0], names) for side in (searched.network, file_side))
    for name in names:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("leg", ["network", "file"])
def test_noise_is_that_of_rounding(searched, file_side, leg):
    side = searched.network if leg == "network" else file_side
    made = run(side, searched.inputs[0], side.outputs)
    for name, stats in side.noise(searched.inputs[0], made).items():
        assert 0 < stats.max_abs < 1e-3 * float(abs(made[name]).max()), name


def test_modules_are_paths_of_the_network(searched):
    names = {name for name, _ in searched.made.network.named_modules()}
    fused = {name for name, _ in searched.made.spec.fuse(searched.made.network).named_modules()}
    found = set(searched.network.modules.values())
    assert found <= names | fused
    assert "head.obj_preds.0" in found


def test_part_is_a_small_file_of_its_own(searched, file_side):
    operator = file_side.network.operators[-1]
    given = run(file_side, searched.inputs[0], operator.inputs)
    part = file_side.part(given, list(operator.outputs))
    assert len(part.graph.node) == 1
    assert part.ByteSize() < searched.model.ByteSize() / 10


def test_a_part_that_cannot_be_run_is_told(searched):
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(searched.model)
    node = next(node for node in model.graph.node if node.op_type == "Concat")
    node.attribute[0].CopyFrom(onnx.helper.make_attribute("axis", 2))
    side = FileSide(model)
    with pytest.raises(ArtifactError, match="cannot be run"):
        run(side, searched.inputs[0], side.outputs)
