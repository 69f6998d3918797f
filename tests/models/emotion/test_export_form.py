"""The form that is exported: equal to the network, with a batch of any size, and as ONNX Runtime likes it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cvport.exporters.graphs.trace import simplify, trace
from cvport.models.emotion.export_form import export_form
from cvport.models.emotion.network import ExactGELU
from cvport.models.emotion.spec import SPEC
from cvport.models.emotion.variant import Variant


def pictures(number, size=(48, 48)):
    return torch.randn(number, 3, *size, generator=torch.Generator().manual_seed(number))


def run(network, x):
    with torch.inference_mode():
        return network(x)["logits"].numpy()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layers": 1},
        {"heads": 4},
        {"qkv_bias": False},
        {"activation": "gelu_pytorch_tanh"},
        {"image_size": (32, 80), "patch": 8},
        {"layer_norm_eps": 0.1},
    ],
    ids=str,
)
def test_equal_to_the_network(small, changes):
    variant = replace(small, **changes)
    network = SPEC.build_network(SPEC.seeded(0, variant), variant)
    form = export_form(network)
    x = pictures(3, variant.image_size)
    expected = run(network, x)
    assert expected.std(axis=0).min() > 0.05
    np.testing.assert_allclose(run(form, x), expected, rtol=0, atol=2e-5)
    assert not form.training
    assert not any(parameter.requires_grad for parameter in form.parameters())


def test_the_network_stays_as_it_is_and_lends_its_weights(small):
    network = SPEC.build_network(SPEC.seeded(0, small))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    form = export_form(network)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert form.layers[0].fc1.weight.data_ptr() == network.vit.layers[0].mlp.fc1.weight.data_ptr()


def test_gelu_is_the_exact_one():
    x = torch.linspace(-6, 6, 1001)
    assert (ExactGELU()(x) - torch.nn.functional.gelu(x)).abs().max() < 1e-6
    assert (ExactGELU()(x) - torch.nn.functional.gelu(x, approximate="tanh")).abs().max() > 1e-4


class File:
    """A small network and its file, as the exporter makes it."""

    def __init__(self, variant: Variant):
        self.network = SPEC.build_network(SPEC.seeded(0, variant))
        self.model = simplify(trace(SPEC.export_form(self.network), SPEC, variant.image_size, "dynamic"))
        self.counts = Counter(node.op_type for node in self.model.graph.node)


@pytest.fixture(scope="module")
def file(small):
    return File(small)


def test_nodes_of_the_file(file, small):
    assert {entry.domain: entry.version for entry in file.model.opset_import} == {"": 18}
    # No mask; three products a layer become one matrix but in the last, where queries are apart.
    assert not file.counts.keys() & {"Where", "IsNaN", "ReduceMean", "Sqrt"}
    assert file.counts["Gemm"] == 4 * small.layers + 1 + 1
    assert file.counts["MatMul"] == 2 * small.layers
    assert file.counts["LayerNormalization"] == 2 * small.layers + 1
    assert file.counts["Transpose"] == 4 * small.layers + 1


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch(file, batch):
    session = onnxruntime.InferenceSession(file.model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = pictures(batch)
    (logits,) = session.run(None, {"pixel_values": x.numpy()})
    np.testing.assert_allclose(logits, run(file.network, x), rtol=0, atol=2e-5)


def test_onnx_runtime_runs_each_gelu_as_one_step(file, small, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(file.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimised = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert optimised["Gelu"] == small.layers
    assert "Erf" not in optimised
