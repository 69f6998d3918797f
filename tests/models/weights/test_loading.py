"""Strict loading: everything fits, or nothing is loaded and the error says why."""

import numpy as np
import pytest
import torch
from torch import nn

from cvport.errors import WeightsError
from cvport.models.weights.loading import LoadReport, load_strict


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.fixture
def state(network):
    rng = np.random.default_rng(0)
    return {
        key: np.array(7) if key.endswith("tracked") else rng.standard_normal(value.shape).astype(np.float32)
        for key, value in network.state_dict().items()
    }


def assert_loaded(network, state, tolerance=0.0):
    for key, value in network.state_dict().items():
        if not key.endswith("tracked"):
            assert value.dtype == torch.float32
            np.testing.assert_allclose(value.numpy(), np.asarray(state[key], np.float32), rtol=tolerance)


def test_report_counts_tensors_and_parameters(network, state):
    report = load_strict(network, state)
    assert report == LoadReport(tensors=7, expected=7, parameters=3 * 4 * 9 + 4 + 8)
    assert str(report) == "7/7 tensors, 120 parameters"
    assert str(LoadReport(645, 645, 1_168_048)) == "645/645 tensors, 1,168,048 parameters"
    assert_loaded(network, state)
    assert network[1].num_batches_tracked == 7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_torch_tensors_of_any_float_type(network, state, dtype):
    tensors = {key: torch.as_tensor(value).to(dtype) for key, value in state.items()}
    load_strict(network, tensors)
    assert_loaded(network, {key: value.float().numpy() for key, value in tensors.items()})


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_arrays_of_any_float_type_and_layout(network, state, dtype):
    arrays = {key: np.asfortranarray(value.astype(dtype)) for key, value in state.items()}
    load_strict(network, arrays)
    assert_loaded(network, arrays)


def test_ml_dtypes_arrays(network, state):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    arrays = {key: value.astype(ml_dtypes.bfloat16) for key, value in state.items()}
    load_strict(network, arrays)
    assert_loaded(network, arrays)


def test_network_on_the_meta_device_becomes_real(state):
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)
    load_strict(network, state)
    assert_loaded(network, state)
    assert not network[0].weight.requires_grad
    assert isinstance(network[0].weight, nn.Parameter)


def test_network_has_its_own_memory(network, state):
    tensor = torch.zeros(4, 3, 3, 3)
    load_strict(network, {**state, "0.weight": tensor})
    tensor += 1
    state["0.bias"] += 1
    assert network[0].weight.abs().max() == 0
    assert not np.array_equal(network[0].bias.detach().numpy(), state["0.bias"])


def test_counter_may_be_absent(network, state):
    network[1].num_batches_tracked += 3
    del state["1.num_batches_tracked"]
    report = load_strict(network, state)
    assert (report.tensors, report.expected) == (6, 7)
    assert str(report) == "6/7 tensors (1 num_batches_tracked not stored), 120 parameters"
    assert network[1].num_batches_tracked == 0


def test_counter_may_be_of_shape_1(network, state):
    load_strict(network, {**state, "1.num_batches_tracked": torch.tensor([5])})
    assert network[1].num_batches_tracked.shape == ()
    assert network[1].num_batches_tracked == 5


def test_counter_of_another_shape_is_refused(network, state):
    with pytest.raises(WeightsError, match=r"1\.num_batches_tracked has \(2,\), needs \(\)"):
        load_strict(network, {**state, "1.num_batches_tracked": torch.tensor([5, 5])})


def test_every_kind_of_mismatch_is_counted_and_listed_and_nothing_is_loaded(network, state):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    del state["1.weight"]
    state["extra"] = np.zeros(2, np.float32)
    state["0.weight"] = np.zeros((3, 4), np.float32)
    state["0.bias"] = [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(WeightsError) as caught:
        load_strict(network, state)
    assert caught.value.message == (
        "the weights do not fit the network of 7 tensors: "
        "1 missing, 1 unexpected, 1 misshapen, 1 not a float tensor\n"
        "  missing: 1.weight\n"
        "  unexpected: extra\n"
        "  misshapen: 0.weight has (3, 4), needs (4, 3, 3, 3)\n"
        "  not a float tensor: 0.bias (list)"
    )
    assert caught.value.hint
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("value", [np.zeros(4, np.int8), torch.zeros(4, dtype=torch.int32), np.zeros(4, complex), None])
def test_weights_that_are_not_floats_are_refused(network, state, value):
    with pytest.raises(WeightsError, match=r"not a float tensor: 0\.bias \((int8|torch\.int32|complex128|NoneType)\)"):
        load_strict(network, {**state, "0.bias": value})


def test_shape_1_is_not_a_scalar_elsewhere():
    network = nn.Module()
    network.register_parameter("scale", nn.Parameter(torch.zeros(())))
    with pytest.raises(WeightsError, match=r"scale has \(1,\), needs \(\)"):
        load_strict(network, {"scale": torch.zeros(1)})


def test_long_lists_are_cut_and_still_counted(network, state):
    extra = {f"extra.{index:02}": np.zeros(1, np.float32) for index in range(25)}
    with pytest.raises(WeightsError) as caught:
        load_strict(network, {**state, **extra})
    assert "25 unexpected" in caught.value.message
    assert "extra.09; and 15 more" in caught.value.message
    assert "extra.10" not in caught.value.message
