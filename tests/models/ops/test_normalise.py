"""Planes of a network input."""

import numpy as np
import pytest

from cvport.models.ops.normalise import tables, write_planes

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_tables_hold_the_bits_of_the_formula(scale):
    values, f = np.arange(256).astype(np.float32), np.float32(scale)
    for table, mean, std in zip(tables(MEAN, STD, scale), MEAN, STD, strict=True):
        expected = (values / f - np.float32(mean) / f) / (np.float32(std) / f)
        np.testing.assert_array_equal(table.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize(("mean", "std"), [(MEAN, STD), ((0.0,) * 3, (1.0,) * 3)])
def test_each_channel_goes_to_its_plane(colour, mean, std):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    channels = tables(mean, std)
    out = np.full((3, 8, 9), np.nan, np.float32)
    write_planes(image, colour, channels, out[:, :5, :7])
    planes = image.transpose(2, 0, 1)[:: 1 if colour == "bgr" else -1]
    for plane, table, written in zip(planes, channels, out, strict=True):
        np.testing.assert_array_equal(written[:5, :7], table[plane])
    assert np.isnan(out[:, 5:]).all()
    assert np.isnan(out[:, :, 7:]).all()
