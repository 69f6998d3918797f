"""What a file makes of a row does not depend on its batch; faults at one size are planted."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cvport.errors import ArtifactError
from cvport.exporters.gate.batches import SIZES, measure_batches
from cvport.runtimes.backends.onnx import OnnxBackend
from helpers.gate import failed, with_digest
from mutation import plantings


class Choose:
    """A generator that takes what it is told instead of a random choice."""

    def __init__(self, row):
        self.row = row

    def choice(self, _options):
        return self.row

    def integers(self, _high):
        return 0


def test_rows_of_a_clean_file_are_the_same_to_the_bit(small, tmp_path):
    record = small.verify(tmp_path)
    entries = [entry for entry in record["comparisons"] if entry["tier"] == "batches"]
    assert {entry["figures"]["rows"] for entry in entries} == set(SIZES[1:]) == {2, 3, 5, 8, 17}
    assert all(entry["figures"]["equal"] for entry in entries)
    assert len(entries) == 5 * 9


@pytest.mark.parametrize(("row", "seen"), [(1, {2, 3, 5, 8, 17}), (3, {5, 8, 17}), (8, {17}), (16, {17})])
def test_rows_that_are_wrong_from_one_on(small, tmp_path, row, seen):
    model = onnx.load_from_string(small.onnx)
    plantings.from_row(model, Choose(row))
    record = small.verify(tmp_path, with_digest(model), structure=False)
    assert {entry["figures"]["rows"] for entry in failed(record, "batches")} == seen
    assert record["verdict"] == "failed"


def test_a_batch_that_cannot_be_run_is_a_failed_leg(small, tmp_path):
    model = onnx.load_from_string(small.onnx)
    dim = model.graph.input[0].type.tensor_type.shape.dim[0]
    dim.ClearField("dim_param")
    dim.dim_value = 1
    record = small.verify(tmp_path, with_digest(model))
    (entry,) = failed(record, "run")
    assert entry["legs"] == "torch-onnx"
    assert "it cannot be run" in entry["reasons"][0]
    assert record["legs"]["onnx"]["status"] == "failed"
    assert record["verdict"] == "failed"


class Rows:
    """A backend whose rows are its inputs' means, but for what a fault makes of them."""

    def __init__(self, fault):
        self.fault = fault

    def run(self, inputs):
        (values,) = inputs.values()
        return {"out": self.fault(values.mean(axis=(1, 2, 3), keepdims=True).reshape(-1, 1))}


class Fixed:
    """As much of a reference as batches need: two cases of two rows."""

    class spec:  # noqa: N801
        input_name = "input"

    class Case:
        def __init__(self, seed):
            self.inputs = np.random.default_rng(seed).random((2, 3, 4, 4), dtype=np.float32)
            self.outputs = {"out": self.inputs.mean(axis=(1, 2, 3)).reshape(-1, 1)}

    def __init__(self):
        self.cases = [self.Case(1), self.Case(2)]


def test_a_file_of_a_fixed_batch_is_run_with_its_rows_in_turn():
    (clean,) = measure_batches(Rows(lambda out: out), Fixed(), [])
    assert (clean.size, clean.equal, clean.stats.max_abs) == (2, True, 0.0)

    def first_row_wrong(out):
        return np.concatenate([out[:1] * 2, out[1:]])

    (wrong,) = measure_batches(Rows(first_row_wrong), Fixed(), [])
    assert not wrong.equal
    assert wrong.stats.max_abs > 0.1


def test_an_output_with_other_rows_than_its_batch_is_refused():
    with pytest.raises(ArtifactError, match=r"out has the shape \(1, 1\) for a batch of 2"):
        measure_batches(Rows(lambda out: out[:1]), Fixed(), [])


def test_a_real_file_of_a_fixed_batch(small, tmp_path):
    from cvport.exporters.export import make_onnx, make_seal
    from cvport.exporters.gate.probes import built_in_cases
    from cvport.exporters.gate.reference import make_reference
    from cvport.exporters.graphs.trace import tool_versions

    seal = make_seal(small.spec, small.checkpoint, small.plan, 2, tool_versions())
    path = tmp_path / "yolox.onnx"
    path.write_bytes(make_onnx(small.spec, small.network, seal, lambda _step: None).data)
    cases = built_in_cases(2)
    reference = make_reference(small.spec, small.plan, small.network, cases, untrained=True, tolerances=())
    assert {len(case.inputs) for case in reference.cases} == {2}
    assert [case.name for case in reference.cases][-3:] == ["searched", "out of range", "flat"]
    with OnnxBackend(path) as backend:
        found = measure_batches(backend, reference, [])
    assert {entry.size for entry in found} == {2}
    assert all(entry.equal for entry in found)
