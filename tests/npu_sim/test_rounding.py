"""HF32 and float16, against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from npu_sim.rounding import cube, to_fp16, to_hf32


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (1.0, 1.0),
        (1 + 2**-11, 1 + 2**-11),  # the last bit that is kept
        (1 + 2**-13, 1.0),
        (1 + 2**-12, 1.0),  # a tie goes to the even neighbour, below
        (1 + 3 * 2**-12, 1 + 2**-10),  # and above
        (1 + 2**-12 + 2**-23, 1 + 2**-11),  # just over the tie
        (1 + 3 * 2**-12 - 2**-23, 1 + 2**-11),  # just under it
        (2 - 2**-23, 2.0),  # the carry goes into the exponent
        (0.0, 0.0),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_hf32_rounds_to_nearest_even(value, rounded, sign):
    assert to_hf32(torch.tensor([sign * value], dtype=torch.float32)).item() == sign * rounded


def test_hf32_is_the_nearest_of_its_grid():
    x = np.random.default_rng(0).normal(0, 100, 2000).astype(np.float32)
    rounded = to_hf32(torch.from_numpy(x)).numpy()
    step = 2.0 ** (np.frexp(x)[1] - 12)  # frexp's mantissa is in [0.5, 1)
    np.testing.assert_array_equal(rounded, (np.round(x / step) * step).astype(np.float32))
    np.testing.assert_array_equal(to_hf32(torch.from_numpy(rounded)).numpy(), rounded)


def test_what_is_not_finite_stays():
    rounded = to_hf32(torch.tensor([float("inf"), -float("inf"), float("nan")]))
    assert rounded[:2].tolist() == [float("inf"), -float("inf")]
    assert rounded[2].isnan()


def test_fp16():
    assert to_fp16(torch.tensor([1 + 2**-11, 1e5])).tolist() == [1.0, float("inf")]


@pytest.mark.parametrize(
    ("soc", "allow", "read", "written"),
    [
        ("Ascend910B3", True, 1 + 2**-11, 1 + 2**-12),
        ("Ascend910B3", False, 1 + 2**-11 + 2**-20, 1 + 2**-12),
        ("Ascend910_9391", True, 1 + 2**-11, 1 + 2**-12),
        ("Ascend310B1", False, 1 + 2**-11 + 2**-20, 1 + 2**-12),
        ("Ascend310P3", False, 1 + 2**-10, 1.0),
        ("Ascend310P3", True, 1 + 2**-10, 1.0),
        ("Ascend910A", False, 1 + 2**-10, 1.0),
        ("Ascend910ProB", False, 1 + 2**-10, 1.0),
        ("Ascend910B", False, 1 + 2**-10, 1.0),
    ],
)
def test_cube_unit_of_each_soc(npu, soc, allow, read, written):
    npu.soc = soc
    unit = cube(allow)
    assert unit.read(torch.tensor([1 + 2**-11 + 2**-20])).item() == read
    assert unit.write(torch.tensor([1 + 2**-12]), torch.float32).item() == written


def test_cube_unit_sums_float16_in_float32(npu):
    unit = cube(True)
    assert unit.read(torch.ones(1, dtype=torch.float16)).dtype == torch.float32
    assert unit.write(torch.ones(1), torch.float16).dtype == torch.float16
