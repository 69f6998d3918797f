"""PyTorch: the outputs are the network's own, and those of ONNX Runtime."""

import numpy as np
import pytest
import torch

from cvport.models.registry import get_model
from cvport.models.weights.files import open_weights
from cvport.runtimes.backends.onnx import OnnxBackend
from cvport.runtimes.backends.torch import TorchBackend

SPEC = get_model("yolox")


@pytest.fixture(scope="module")
def network(nano_artifact):
    return SPEC.build_network(open_weights(SPEC, nano_artifact.weights).state)


@pytest.fixture
def array():
    return np.random.default_rng(0).uniform(0, 255, (2, 3, 160, 160)).astype(np.float32)


def test_outputs_are_the_network_s(network, array):
    with torch.inference_mode():
        expected = network(torch.from_numpy(array))
    with TorchBackend(network) as backend:
        outputs = backend.run({"input": array})
        assert (backend.name, backend.device) == ("torch", "cpu")
    assert tuple(outputs) == SPEC.output_names
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, expected[name].numpy())
        assert values.dtype == np.float32


def test_both_backends_agree(network, nano_artifact, array):
    with TorchBackend(SPEC.fuse(network)) as fused, OnnxBackend(nano_artifact.onnx) as onnx:
        expected, outputs = fused.run({"input": array}), onnx.run({"input": array})
    for name in SPEC.output_names:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, rtol=0)
        assert np.ptp(expected[name]) > 0.1, "something to compare"


def test_array_of_any_layout(network, array):
    with TorchBackend(network) as backend:
        expected = backend.run({"input": array})
        turned = backend.run({"input": np.asfortranarray(array)})
    for name in SPEC.output_names:
        np.testing.assert_array_equal(turned[name], expected[name])


def test_outputs_are_the_caller_s_own(network, array):
    with TorchBackend(network) as backend:
        first = backend.run({"input": array})
        kept = {name: values.copy() for name, values in first.items()}
        backend.run({"input": array * 0})
    for name, values in first.items():
        np.testing.assert_array_equal(values, kept[name])


def test_threads(network):
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            with TorchBackend(network, threads=threads):
                assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_nothing_runs_after_closing(network, array):
    with TorchBackend(network) as backend:
        backend.run({"input": array})
    with pytest.raises((AttributeError, TypeError)):
        backend.run({"input": array})


def test_first_run_of_a_shape_is_told(network, array):
    with TorchBackend(network) as backend:
        backend.warm_up({"input": array})
        assert not backend.is_warm({"input": array}), "no extra run is made"
        backend.run({"input": array})
        assert backend.is_warm({"input": array})
        assert not backend.is_warm({"input": array[:1]})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_agrees_with_the_cpu(nano_artifact, array):
    state = open_weights(SPEC, nano_artifact.weights).state
    with TorchBackend(SPEC.build_network(state)) as cpu, TorchBackend(SPEC.build_network(state), "cuda") as cuda:
        assert cuda.device == "cuda:0"
        expected, outputs = cpu.run({"input": array}), cuda.run({"input": array})
    for name in SPEC.output_names:
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-3, rtol=0)
