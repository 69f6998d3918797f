"""What torch_npu's operators refuse (support table of torch_npu 2.13 for Atlas A2 and A3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


def refuse_float64(name: str, dtype: torch.dtype) -> None:
    """Raise for what the cube unit cannot compute."""
    if dtype == torch.float64:
        raise RuntimeError(
            f"call aclnn{name} failed, detail:EZ1001: Tensor self not implemented for DT_DOUBLE, "
            "should be in dtype support list [DT_FLOAT,DT_FLOAT16,DT_BFLOAT16,]."
        )


def _no_scale_factor(arguments: Arguments) -> str | None:
    positional, named = arguments
    # upsample_*2d(input, output_size, [align_corners], scales_h, scales_w)
    scales = [*positional[2:], named.get("scales_h"), named.get("scales_w")]
    given = any(isinstance(scale, float) for scale in scales)
    return "scale_factor is not supported, pass size" if given else None


def _no_dilation(arguments: Arguments) -> str | None:
    # max_pool2d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)
    positional, named = arguments
    dilation = positional[4] if len(positional) > 4 else named.get("dilation", [1])
    return "dilation only supports 1" if any(step != 1 for step in dilation) else None


def _never(arguments: Arguments) -> str:
    return "the operator is not supported"


REFUSALS: Mapping[str, Callable[[Arguments], str | None]] = {
    "aten::upsample_nearest2d": _no_scale_factor,
    "aten::_upsample_nearest_exact2d": _no_scale_factor,
    "aten::upsample_bilinear2d": _no_scale_factor,
    "aten::upsample_bicubic2d": _no_scale_factor,
    "aten::max_pool2d_with_indices": _no_dilation,
    "aten::adaptive_max_pool2d": _never,
}


def check(name: str, arguments: Arguments) -> None:
    """Raise where the table says that the operator cannot run so."""
    rule = REFUSALS.get(name)
    reason = rule(arguments) if rule else None
    if reason:
        raise RuntimeError(f"call aclnn of {name} failed, detail:EZ1001: {reason}.")


def check_mask(mask: Any) -> None:
    """Raise for a mask of scaled dot product attention that is not boolean."""
    if mask is not None and mask.dtype != torch.bool:
        raise RuntimeError("scaled_dot_product_attention: atten_mask only supports bool on the NPU.")
