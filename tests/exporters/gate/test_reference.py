"""The reference: each case has the limits of its own rounding, and what was measured is kept for the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from cvport.exporters.gate import reference as module
from cvport.exporters.gate.kept import network_key
from cvport.exporters.gate.probes import Case
from cvport.exporters.gate.reference import make_reference
from cvport.runtimes.job import Region
from helpers.gate import failed


def refer(small, cases):
    return make_reference(small.spec, small.plan, small.network, cases, untrained=True, tolerances=())


def test_the_cases_of_a_reference(small):
    cases = {case.name: case for case in small.reference.cases}
    assert list(cases) == [
        *("landscape", "portrait, tiny, noise", "black, test card, dark, natural"),
        *("searched", "out of range", "flat"),
    ]
    assert [len(case.inputs) for case in cases.values()] == [1, 3, 4, 1, 2, 2]
    landscape = cases["landscape"].inputs
    np.testing.assert_array_equal(cases["out of range"].inputs, np.concatenate([3 * landscape, -2 * landscape]))
    assert np.ptp(cases["flat"].inputs, axis=(1, 2, 3)).max() == 0
    assert len({case.limits.tensors["cls_0"].max_abs for case in cases.values()}) == 6, "each has its own"


def test_flat_images_and_gradients_are_no_false_alarm(small, tmp_path):
    flat = [np.full((120, 160, 3), value, np.uint8) for value in (0, 90, 255)]
    ramp = np.broadcast_to(np.linspace(0, 255, 160)[None, :, None], (120, 160, 3)).astype(np.uint8)
    reference = refer(small, [Case(f"probe {i}", [Region(image)]) for i, image in enumerate([*flat, ramp])])
    record = small.verify(tmp_path, reference=reference)
    assert not failed(record, "tensors")
    assert not failed(record, "decoded")


def test_what_was_measured_is_kept_for_the_same_weights(small, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exactly, calls = module.run_exactly, []

    def count(*args):
        calls.append(1)
        return exactly(*args)

    monkeypatch.setattr(module, "run_exactly", count)
    cases = [Case("one", [Region(np.full((60, 80, 3), 200, np.uint8))])]
    first, again = refer(small, cases), refer(small, cases)
    assert len(calls) == 1
    assert [case.limits for case in again.cases] == [case.limits for case in first.cases]
    assert again.floor == first.floor
    for kept in (tmp_path / "cvport/gate").glob("*.npz"):
        kept.write_bytes(kept.read_bytes()[:-50])
    assert refer(small, cases).floor == first.floor
    assert len(calls) == 2, "what is damaged is measured again"


def test_the_network_is_as_it_was_afterwards(small):
    before = network_key(small.network)
    refer(small, [Case("one", [Region(np.zeros((60, 80, 3), np.uint8))])])
    assert network_key(small.network) == before
    assert not any(parameter.is_inference() for parameter in small.network.parameters())


def test_other_weights_have_another_key(small):
    other = small.build(**{"head.cls_preds.0.bias": np.ones(3, np.float32)})
    assert network_key(other) != network_key(small.network)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fixed_batch_is_what_every_case_has(small, batch):
    from cvport.exporters.gate.probes import built_in_cases

    assert {len(case.inputs) for case in refer(small, built_in_cases(batch)).cases} == {batch}
