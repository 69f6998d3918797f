"""What torch_npu's table leaves out raises; what replaces it runs."""

import pytest
import torch
from torch.nn import functional

X = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)

REFUSED = {
    "scale_factor": (lambda x: functional.interpolate(x, scale_factor=2.0), "pass size"),
    "bilinear scale_factor": (lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear"), "pass size"),
    "dilation": (lambda x: functional.max_pool2d(x, 3, dilation=2), "dilation only supports 1"),
    "adaptive max pool": (lambda x: functional.adaptive_max_pool2d(x, 1), "not supported"),
    "float64 convolution": (lambda x: functional.conv2d(x.double(), x.double()), "DT_DOUBLE"),
    "float64 product": (lambda x: x.double()[0, 0] @ x.double()[0, 0], "DT_DOUBLE"),
    "float mask": (
        lambda x: functional.scaled_dot_product_attention(x, x, x, attn_mask=torch.zeros_like(x)),
        "only supports bool",
    ),
}


@pytest.mark.parametrize(("operator", "why"), REFUSED.values(), ids=REFUSED)
def test_refused(npu, operator, why):
    operator(X)
    with pytest.raises(RuntimeError, match=why):
        operator(X.to("npu"))


def test_boolean_mask(npu):
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    expected = functional.scaled_dot_product_attention(X, X, X, attn_mask=mask)
    got = functional.scaled_dot_product_attention(*(X.to("npu"),) * 3, attn_mask=mask.to("npu"))
    torch.testing.assert_close(got.cpu(), expected)
