"""Operators give the CPU's values at the precision of the cube unit, and fail where torch_npu's do."""

import copy
import time

import pytest
import torch
from torch import nn
from torch.nn import functional

from npu_sim.machine import device_error
from npu_sim.rounding import to_fp16, to_hf32

X = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
LEFT, RIGHT = X[0, 0], X[1, 0]

OPERATORS = {
    "add": lambda x: x + 1,
    "subtract from": lambda x: 1 - x,
    "in place": lambda x: x.clone().add_(2),
    "assign to a slice": lambda x: x.clone().index_fill_(1, torch.tensor([0], device=x.device), 5.0),
    "boolean index": lambda x: x[x > 0],
    "index": lambda x: x[:, [2, 0]],
    "index on the host": lambda x: x[:, torch.tensor([2, 0])],
    "top k": lambda x: x.flatten().topk(5)[0],
    "arg max": lambda x: x.argmax(1),
    "item": lambda x: torch.tensor(x.sum().item()),
    "chunk and stack": lambda x: torch.stack(x.chunk(2, dim=2), 2).flatten(1, 2),
    "nearest": lambda x: functional.interpolate(x, size=(32, 32), mode="nearest"),
    "bilinear": lambda x: functional.interpolate(x, size=(31, 33), mode="bilinear", align_corners=False),
    "max pool": lambda x: functional.max_pool2d(x, 3, 2, 1),
    "average pool": lambda x: functional.adaptive_avg_pool2d(x, 1),
    "group norm": lambda x: functional.group_norm(x, 3),
    "batch norm": lambda x: functional.batch_norm(x, torch.zeros_like(x[0, :, 0, 0]), torch.ones_like(x[0, :, 0, 0])),
    "layer norm": lambda x: functional.layer_norm(x, (16,)),
    "leaky relu": lambda x: functional.leaky_relu(x, 0.1),
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: x.softmax(1),
    "out=": lambda x: torch.add(x, x, out=torch.empty_like(x)),
    "out= that grows": lambda x: torch.add(x, x, out=torch.empty(0, device=x.device)),
    "transposed matmul": lambda x: x[0, 0].T @ x[0, 1],
    "einsum": lambda x: torch.einsum("nchw,ncwk->nchk", x, x),
    "linear": lambda x: functional.linear(x, x[0, 0], x[0, 0, 0]),
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_values_are_the_cpu_s(npu, operator):
    expected, got = operator(X), operator(X.to("npu"))
    assert got.cpu().dtype == expected.dtype
    torch.testing.assert_close(got.cpu(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("format_", [torch.contiguous_format, torch.channels_last])
def test_convolution(npu, format_):
    npu.conv_hf32 = False
    moved = X.to("npu").to(memory_format=format_)
    got = functional.conv2d(moved, WEIGHT.to("npu"), stride=2, padding=1)
    torch.testing.assert_close(got.cpu(), functional.conv2d(X, WEIGHT, stride=2, padding=1))
    grouped = functional.conv2d(moved, WEIGHT[:3, :1].to("npu"), groups=3)
    torch.testing.assert_close(grouped.cpu(), functional.conv2d(X, WEIGHT[:3, :1], groups=3))


def test_convolution_is_hf32_by_default(npu):
    assert torch.npu.conv.allow_hf32
    got = functional.conv2d(X.to("npu"), WEIGHT.to("npu")).cpu()
    torch.testing.assert_close(got, functional.conv2d(to_hf32(X), to_hf32(WEIGHT)), atol=0, rtol=0)
    assert not torch.allclose(got, functional.conv2d(X, WEIGHT), atol=1e-5, rtol=1e-5)


def test_matrix_product_is_float32_by_default(npu):
    left, right = LEFT.to("npu"), RIGHT.to("npu")
    assert not torch.npu.matmul.allow_hf32
    torch.testing.assert_close((left @ right).cpu(), LEFT @ RIGHT, atol=0, rtol=0)
    torch.npu.matmul.allow_hf32 = True
    torch.testing.assert_close((left @ right).cpu(), to_hf32(LEFT) @ to_hf32(RIGHT), atol=0, rtol=0)
    summed = torch.addmm(RIGHT.to("npu"), left, right).cpu()
    torch.testing.assert_close(summed, torch.addmm(RIGHT, to_hf32(LEFT), to_hf32(RIGHT)), atol=0, rtol=0)


def test_older_soc_computes_in_fp16(npu):
    npu.soc, npu.conv_hf32 = "Ascend310P3", False
    got = functional.conv2d(X.to("npu"), WEIGHT.to("npu")).cpu()
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, to_fp16(functional.conv2d(to_fp16(X), to_fp16(WEIGHT))), atol=0, rtol=0)
    product = (LEFT.to("npu") @ RIGHT.to("npu")).cpu()
    torch.testing.assert_close(product, to_fp16(to_fp16(LEFT) @ to_fp16(RIGHT)), atol=0, rtol=0)


def test_float16_tensors_are_summed_in_float32(npu):
    half, weight = X.half(), WEIGHT.half()
    got = functional.conv2d(half.to("npu"), weight.to("npu")).cpu()
    assert got.dtype == torch.float16
    torch.testing.assert_close(got, functional.conv2d(half.float(), weight.float()).half(), atol=0, rtol=0)
    product = (LEFT.half().to("npu") @ RIGHT.half().to("npu")).cpu()
    torch.testing.assert_close(product, (LEFT.half().float() @ RIGHT.half().float()).half(), atol=0, rtol=0)


def test_gelu_is_tanh(npu):
    moved = X.to("npu")
    torch.testing.assert_close(functional.gelu(moved).cpu(), functional.gelu(X, approximate="tanh"), atol=0, rtol=0)
    npu.gelu_is_tanh = False
    torch.testing.assert_close(functional.gelu(moved).cpu(), functional.gelu(X), atol=0, rtol=0)


def on(device, *tensors):
    return [tensor.to(device) for tensor in tensors]


MIXED = {
    "add": lambda x, w: x.to("npu") + x,
    "cat": lambda x, w: torch.cat([x.to("npu"), x]),
    "where": lambda x, w: torch.where(x.to("npu") > 0, x, x.to("npu")),
    "matmul": lambda x, w: x.to("npu") @ x,
    "weights on the host": lambda x, w: functional.conv2d(x.to("npu"), w),
    "input on the host": lambda x, w: functional.conv2d(x, w.to("npu")),
    "another device": lambda x, w: x.to("npu:0") + x.to("npu:1"),
    "weights on another device": lambda x, w: functional.conv2d(x.to("npu:0"), w.to("npu:1")),
}


@pytest.mark.parametrize("operator", MIXED.values(), ids=MIXED)
def test_mixed_devices_are_an_error(npu, operator):
    npu.devices = 2
    with pytest.raises(RuntimeError, match=r"on the same device|should be the same"):
        operator(X, WEIGHT)


def test_device_that_is_not_there(npu):
    for device in ("npu:1", "npu:7"):
        with pytest.raises(RuntimeError, match=r"error code is 107001[\s\S]*Invalid device ID"):
            X.to(device)


def test_unsupported_operator(npu):
    npu.unsupported = {"aten::silu"}
    with pytest.raises(NotImplementedError, match=r"Could not run 'aten::silu'.* 'NPU' backend"):
        functional.silu(X.to("npu"))


def test_operator_that_runs_on_the_cpu_warns(npu):
    npu.cpu_fallbacks = {"aten::sort"}
    with pytest.warns(UserWarning, match=r"aten::sort.* will fall back to run on the CPU"):
        assert torch.equal(X.to("npu").sort(-1)[0].cpu(), X.sort(-1)[0])


def test_injected_fault(npu):
    npu.faults = {"aten::mul": device_error(507018), "synchronize": device_error(507015)}
    with pytest.raises(RuntimeError, match="error code is 507018"):
        X.to("npu") * 2
    with pytest.raises(RuntimeError, match="error code is 507015"):
        torch.npu.synchronize()


def test_first_run_of_an_operator_on_each_shape_costs(npu, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    npu.compile_seconds = 2.5
    wide, narrow = X.to("npu"), X[..., :4].to("npu")
    slept.clear()
    for x in (wide, wide, narrow, wide, narrow):
        functional.silu(x)
    assert slept == [2.5, 2.5]


def test_calls_are_counted(npu):
    x = X.to("npu")
    functional.silu(functional.silu(x))
    assert npu.calls["aten::silu"] == 2


def test_module_moves_and_copies(npu):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU()).eval()
    expected = network(X)
    npu.conv_hf32 = False
    moved = copy.deepcopy(copy.deepcopy(network).to("npu"))
    assert {value.device.type for value in moved.state_dict().values()} == {"npu"}
    with torch.inference_mode():
        torch.testing.assert_close(moved(X.to("npu")).cpu(), expected)
