"""Copies of modules and checkpoints that go straight to the device."""

import copy

import torch
from torch import nn


def test_deep_copy_has_bytes_of_its_own(npu):
    network = nn.Linear(3, 2).to("npu")
    copied = copy.deepcopy(network)
    assert copied.weight.device.type == "npu"
    with torch.no_grad():
        copied.weight.zero_()
    assert network.weight.abs().sum() > 0
    assert torch.npu.memory_allocated() == 2 * 4 * (6 + 2)


def test_checkpoint(npu, tmp_path):
    values = torch.arange(5.0)
    torch.save({"a": values, "b": values.to("npu")}, tmp_path / "a.pt")
    for place in ("npu", "cpu"):
        loaded = torch.load(tmp_path / "a.pt", map_location=place)
        assert [loaded[key].device.type for key in "ab"] == [place] * 2
        assert loaded["a"].tolist() == loaded["b"].tolist() == values.tolist()


def test_host_storages_are_as_before(npu):
    values = torch.arange(5.0)
    assert copy.deepcopy(values).tolist() == values.tolist()
    assert values.untyped_storage().clone().nbytes() == 20
