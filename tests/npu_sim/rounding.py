"""The precision of the cube unit, which does convolutions and matrix products."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .machine import machine

# HF32 has 1 sign bit, 8 exponent bits and 11 mantissa bits: the last 12 of float32's 23 go.
_DROPPED = 12
_MASK = -(1 << _DROPPED)
_BELOW_HALF = (1 << (_DROPPED - 1)) - 1

_LOW = (torch.float16, torch.bfloat16)


def to_hf32(x: Tensor) -> Tensor:
    """Return float32 values rounded to HF32, to nearest, ties to even; infinities and NaN stay."""
    bits = x.contiguous().view(torch.int32)
    odd = (bits >> _DROPPED) & 1
    rounded = ((bits + _BELOW_HALF + odd) & _MASK).view(torch.float32)
    return torch.where(torch.isfinite(x), rounded, x)


def to_fp16(x: Tensor) -> Tensor:
    """Return float32 values rounded to float16."""
    return x.to(torch.float16).to(torch.float32)


class Cube(NamedTuple):
    """How the cube unit treats float32: what it does to inputs, and whether results are float16 too."""

    rounds_inputs: bool
    in_fp16: bool

    def read(self, x: Tensor) -> Tensor:
        """Return an input as the unit reads it; products are summed in float32 whatever it is."""
        if x.dtype in _LOW:
            return x.float()
        if not self.rounds_inputs or x.dtype != torch.float32:
            return x
        return to_fp16(x) if self.in_fp16 else to_hf32(x)

    def write(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a result as the unit writes it, for inputs of *dtype*."""
        if dtype in _LOW:
            return y.to(dtype)
        return to_fp16(y) if self.in_fp16 and dtype == torch.float32 else y


def cube(allow_hf32: bool) -> Cube:
    """Return the unit of the machine's SoC."""
    return Cube(machine.computes_in_fp16 or allow_hf32, machine.computes_in_fp16)
