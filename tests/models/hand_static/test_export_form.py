"""PReLU by convolutions: equal for all slopes, and nothing for ONNX Runtime to reorder around."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from cvport.exporters.graphs.trace import simplify, trace
from cvport.models.hand_static.export_form import ConvPReLU, export_form
from cvport.models.hand_static.spec import SPEC
from cvport.models.ops.fusion import fuse


def run(network, x):
    with torch.inference_mode():
        return network(x)


@pytest.mark.parametrize(
    "slopes",
    [(0.0, 0.25, 0.1, 1.0), (-0.5, -3.0, 0.999, 0.2), (0.2, 1.5, -1.0, 40.0)],
    ids=["usual", "negative", "over 1"],
)
def test_prelu_for_all_slopes(slopes):
    weight = torch.tensor(slopes)
    y = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * 10
    y[0, :, 0, 0] = 0
    expected = nn.functional.prelu(y.double(), weight.double())
    # Terms as large as (1 + |a|) y may cancel, each of them with a rounding.
    room = 4e-7 * (1 + 2 * weight.abs()).reshape(1, -1, 1, 1) * y.abs()
    assert ((run(ConvPReLU(weight), y) - expected).abs() <= room).all()


def test_every_prelu_of_a_copy_is_replaced(small):
    network = fuse(SPEC.build_network(SPEC.seeded(0, small)))
    form = export_form(network)
    assert not [module for module in form.modules() if isinstance(module, nn.PReLU)]
    assert len([module for module in form.modules() if isinstance(module, ConvPReLU)]) == 21
    assert len([module for module in network.modules() if isinstance(module, nn.PReLU)]) == 21
    assert not any(parameter.requires_grad for parameter in form.parameters())


def test_scores_are_upstreams(golden):
    network = fuse(SPEC.build_network(golden.state))
    scores = run(SPEC.export_form(network), torch.from_numpy(golden.input))["scores"]
    np.testing.assert_allclose(scores, golden.outputs["output"], rtol=0, atol=2e-6)


def test_slopes_over_1_give_the_same_scores_too(small):
    state = SPEC.seeded(0, small)
    for key, value in state.items():
        if key.endswith("prelu.weight"):
            value[::3] += 1
    network = SPEC.build_network(state)
    x = torch.randn(2, 3, *small.input_size, generator=torch.Generator().manual_seed(0))
    expected = run(network, x)["scores"]
    assert (run(export_form(fuse(network)), x)["scores"] - expected).abs().max() < 1e-5
    assert (run(SPEC.build_network(SPEC.seeded(0, small)), x)["scores"] - expected).abs().max() > 1e-2


def kernels(model, folder):
    """Names of the operators that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [(node.domain, node.op_type) for node in onnx.load(folder / "optimised.onnx").graph.node]


def test_no_tensor_is_reordered_between_layers(small, tmp_path):
    network = fuse(SPEC.build_network(SPEC.seeded(0, small)))
    blocked = {}
    for name, form in (("prelu", network), ("convolutions", export_form(network))):
        model = simplify(trace(form, SPEC, small.input_size, "dynamic")).SerializeToString()
        blocked[name] = kernels(model, tmp_path)
    if not any(domain == "com.microsoft.nchwc" for domain, _ in blocked["prelu"]):
        pytest.skip("this processor has no blocked layout")
    assert sum(kind == "ReorderOutput" for _, kind in blocked["prelu"]) > 20
    assert sum(kind == "ReorderOutput" for _, kind in blocked["convolutions"]) == 1
    # Relu and Add are part of the convolutions: two for each PReLU, and those of the network itself.
    kinds = [kind for _, kind in blocked["convolutions"]]
    assert kinds.count("Conv") == 21 * 2 + 31
    assert not {"Relu", "Add", "PRelu"} & set(kinds)
