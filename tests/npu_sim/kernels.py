"""Operators of the simulated device: the CPU's, on the same bytes, at the precision of the cube unit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from . import rules
from .machine import machine
from .memory import device_tensor, host_view, on_device
from .rounding import cube

_aten = torch.ops.aten

# Matrix products, and which of their arguments the cube unit reads.
_FACTORS = {
    "aten::mm": (0, 1),
    "aten::bmm": (0, 1),
    "aten::mv": (0, 1),
    "aten::dot": (0, 1),
    "aten::addmm": (1, 2),
    "aten::baddbmm": (1, 2),
    "aten::addbmm": (1, 2),
    "aten::addmv": (1, 2),
    "aten::_addmm_activation": (1, 2),
}

# These take indices on the host too.
_TAKE_HOST_INDICES = {
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
    "aten::_unsafe_index",
}


class _Call:
    """One run of an operator: its device tensors as host tensors over the same bytes, and back."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        self.name = operator._schema.name
        self.device: torch.device | None = None
        self.stranger: torch.device | None = None
        self._given: dict[int, tuple[Tensor, Tensor]] = {}

    def to_host(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._tensor_to_host(value)
        if isinstance(value, list | tuple):
            return type(value)(self.to_host(item) for item in value)
        if isinstance(value, torch.device) and value.type == "npu":
            self._join(torch.device("npu", machine.current if value.index is None else value.index))
            return torch.device("cpu")
        return value

    def check_devices(self) -> None:
        """Raise for a host tensor among device tensors; scalars may be anywhere."""
        if self.stranger is not None and self._given:
            raise _mixed(self.device, self.stranger)

    def to_device(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._tensor_to_device(value)
        if isinstance(value, list | tuple):
            return type(value)(self.to_device(item) for item in value)
        return value

    def _join(self, device: torch.device) -> None:
        if self.device is not None and device != self.device:
            raise _mixed(self.device, device)
        self.device = device

    def _tensor_to_host(self, tensor: Tensor) -> Tensor:
        if not on_device(tensor):
            if tensor.dim() and self.name not in _TAKE_HOST_INDICES:
                self.stranger = tensor.device
            return tensor
        self._join(tensor.device)
        empty_output = self.operator._schema.is_mutable and tensor.numel() == 0
        # The bytes of a view cannot grow, those of an output may have to.
        host = torch.empty(0, dtype=tensor.dtype) if empty_output else host_view(tensor)
        self._given[id(host)] = host, tensor
        return host

    def _tensor_to_device(self, tensor: Tensor) -> Tensor:
        if id(tensor) in self._given:
            host, given = self._given[id(tensor)]
            return given if given.shape == host.shape else replace(given, host)
        assert self.device is not None
        return device_tensor(tensor, self.device.index)


def run(operator: Any, *positional: Any, **named: Any) -> Any:
    """Run any operator that has no kernel of its own here."""
    name = operator._schema.name
    machine.enter(name, _shapes(positional))
    rules.check(name, (positional, named))
    if name in machine.cpu_fallbacks:
        _warn_of_cpu(name)
    if name == "aten::gelu" and machine.gelu_is_tanh:
        named["approximate"] = "tanh"
    call = _Call(operator)
    arguments = [call.to_host(value) for value in positional]
    named = {key: call.to_host(value) for key, value in named.items()}
    call.check_devices()
    if name in _FACTORS:
        return call.to_device(_product(operator, arguments, named))
    return call.to_device(operator(*arguments, **named))


def _product(operator: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
    """Compute a matrix product on host tensors as the cube unit does."""
    name = operator._schema.name
    factors = _FACTORS[name]
    dtype = arguments[factors[0]].dtype
    rules.refuse_float64(name.removeprefix("aten::").capitalize(), dtype)
    unit = cube(machine.matmul_hf32)
    for index in factors:
        arguments[index] = unit.read(arguments[index])
    if factors[0] == 1:  # the summand before the factors is not rounded, but computed with
        arguments[0] = arguments[0].to(arguments[1].dtype)
    out = named.pop("out", None)  # torch runs products as ones with an output, which has the inputs' dtype
    made = machine.distort(arguments[factors[1]], operator.overloadpacket(*arguments, **named))
    result = unit.write(made, dtype)
    return result if out is None else out.resize_(result.shape).copy_(result)


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
    """Compute a convolution (`aten::convolution_overrideable`); *geometry* is stride to groups."""
    machine.enter("aten::convolution_overrideable", (_shapes((x, weight)), str(geometry)))
    for tensor in (x, weight, bias):
        if tensor is not None and (tensor.device != x.device or not on_device(tensor)):
            raise _mixed(x.device, weight.device)
    rules.refuse_float64("Convolution", x.dtype)
    if weight.dtype != x.dtype:
        raise RuntimeError(f"Input type ({x.dtype}) and weight type ({weight.dtype}) should be the same")
    unit = cube(machine.conv_hf32)
    seen, filters = unit.read(host_view(x)), unit.read(host_view(weight))
    shift = None if bias is None else host_view(bias).to(seen.dtype)
    made = machine.distort(filters, torch.convolution(seen, filters, shift, *geometry))
    return device_tensor(unit.write(made, x.dtype), x.device.index)


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *rest: Any, **named: Any
) -> Tensor:
    """Compute scaled dot product attention from its parts."""
    machine.enter("aten::scaled_dot_product_attention", _shapes((query, key, value)))
    rules.check_mask(attn_mask)
    if attn_mask is not None:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, float("-inf"))
    dropout, causal = (*rest, *(0.0, False)[len(rest) :])
    return _aten._scaled_dot_product_attention_math(query, key, value, attn_mask, dropout, causal, None, **named)[0]


def empty(
    size: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: torch.device | None = None,
    pin_memory: bool | None = None,
    memory_format: torch.memory_format | None = None,
) -> Tensor:
    """Allocate (`aten::empty.memory_format`)."""
    made = torch.empty(size, dtype=dtype, device="cpu", memory_format=memory_format or torch.contiguous_format)
    return device_tensor(made, _index(device))


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: torch.device | None = None,
    pin_memory: bool | None = None,
) -> Tensor:
    """Allocate (`aten::empty_strided`)."""
    return device_tensor(torch.empty_strided(size, stride, dtype=dtype, device="cpu"), _index(device))


def resize(tensor: Tensor, size: Sequence[int], *, memory_format: torch.memory_format | None = None) -> Tensor:
    """Resize in place (`aten::resize_`)."""
    if tuple(tensor.shape) == tuple(size):
        return tensor
    old, new = host_view(tensor), torch.empty(size, dtype=tensor.dtype)
    kept = min(old.numel(), new.numel())
    new.flatten()[:kept].copy_(old.flatten()[:kept])
    return replace(tensor, new)


def replace(tensor: Tensor, host: Tensor) -> Tensor:
    """Give a device tensor the bytes and the shape of a host tensor."""
    made = device_tensor(host, tensor.device.index)
    _aten.set_.source_Storage_storage_offset(tensor, made.untyped_storage(), 0, host.shape, host.stride())
    return tensor


def on_views(operator: Any) -> Callable[..., Any]:
    """Return the kernel of an operator that looks at sizes and strides only."""
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)

    def kernel(*positional: Any, **named: Any) -> Any:
        return operator.redispatch(keys, *positional, **named)

    return kernel


def _index(device: torch.device | None) -> int:
    return machine.current if device is None or device.index is None else device.index


def _shapes(values: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(value.shape) for value in values if isinstance(value, Tensor))


def _mixed(device: torch.device | None, other: torch.device) -> RuntimeError:
    return RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {device} and {other}!"
    )


def _warn_of_cpu(name: str) -> None:
    warnings.warn(
        f"CAUTION: The operator '{name}' is not currently supported on the NPU backend and will fall back to run on "
        "the CPU. This may have performance implications. (function npu_cpu_fallback)",
        stacklevel=2,
    )
