"""A file whose weights stay on the disk."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cvport.errors import ArtifactError
from cvport.exporters.bisect.lean import filled, read_lean
from cvport.exporters.bisect.sides import FileSide


@pytest.fixture
def path(small, tmp_path):
    path = tmp_path / "yolox.onnx"
    path.write_bytes(small.onnx)
    return path


def test_graph_comes_without_its_weights(small, path):
    model, weights = read_lean(path)
    assert model.ByteSize() < len(small.onnx) / 5
    assert len(weights) > 50
    whole = onnx.load(path)
    assert [node.SerializeToString() for node in model.graph.node] == [
        node.SerializeToString() for node in whole.graph.node
    ]
    assert model.opset_import == whole.opset_import
    assert model.metadata_props == whole.metadata_props
    found = {tensor.name: numpy_helper.to_array(filled(tensor, weights)) for tensor in model.graph.initializer}
    for tensor in whole.graph.initializer:
        expected = numpy_helper.to_array(tensor)
        assert found[tensor.name].dtype == expected.dtype
        np.testing.assert_array_equal(found[tensor.name], expected)


def test_weights_are_read_from_the_file_when_it_runs(searched, path):
    lean, whole = FileSide(*read_with_modules(path)), FileSide(searched.model)
    (first,), (second,) = (side.run([searched.inputs[0]], side.outputs) for side in (lean, whole))
    for name, value in second.items():
        np.testing.assert_allclose(first[name], value, rtol=1e-4, atol=1e-5)
    noise = lean.noise(searched.inputs[0], first)
    assert all(0 < stats.max_abs < 1e-2 for stats in noise.values())


def read_with_modules(path):
    model, weights = read_lean(path)
    return model, {}, weights


def test_weights_in_other_files_are_read_too(searched, tmp_path):
    path = tmp_path / "apart.onnx"
    model = onnx.load_from_string(searched.model.SerializeToString())
    onnx.save(model, path, save_as_external_data=True, location="apart.bin")
    model, weights = read_lean(path)
    assert weights == {}
    assert {tensor.name for tensor in model.graph.initializer} == {
        tensor.name for tensor in searched.model.graph.initializer
    }
    (tmp_path / "apart.bin").unlink()
    with pytest.raises(ArtifactError, match=r"apart\.bin"):
        read_lean(path)


def test_damaged_files_are_refused_or_read(small, path):
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(small.onnx[: int(rng.integers(1, len(small.onnx)))] if rng.random() < 0.5 else small.onnx)
        data[int(rng.integers(min(len(data), 4000)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        try:
            model, weights = read_lean(path)
            [filled(tensor, weights) for tensor in model.graph.initializer]
        except ArtifactError:
            continue


def test_sizes_that_do_not_fit_are_refused(small, path):
    model = onnx.load_from_string(small.onnx)
    next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4).dims[0] = 1 << 40
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="another size than its shape"):
        read_lean(path)


def test_file_that_becomes_shorter_meanwhile(path):
    _, weights = read_lean(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match="became shorter"):
        weights["head.stems.0.conv.weight"].read()
