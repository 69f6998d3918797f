"""The simulation is there where it is plugged in, says what it is, and leaves nothing behind."""

import importlib.metadata
import importlib.util
import sys

import pytest
import torch

import npu_sim
from npu_sim import install


def test_package_is_found_and_says_that_it_is_simulated(npu):
    import torch_npu

    assert torch_npu.npu is torch.npu
    assert importlib.util.find_spec("torch_npu").name == "torch_npu"
    version = importlib.metadata.version("torch_npu")
    assert version == importlib.metadata.version("torch-npu") == torch_npu.__version__
    assert version == torch.__version__.partition("+")[0] + "+simulated"
    assert npu_sim.installed()
    with pytest.raises(NotImplementedError, match="npu_rms_norm is not simulated"):
        torch_npu.npu_rms_norm(1)


def test_other_packages_are_not_its_business(npu):
    assert importlib.metadata.version("numpy")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("no-such-package")


@pytest.mark.skipif(install.why_not() is not None, reason=str(install.why_not()))
def test_nothing_is_left_behind():
    with npu_sim.plug_in(devices=3, soc="Ascend910A") as machine:
        torch.npu.conv.allow_hf32 = False
        assert (machine.devices, machine.soc) == (3, "Ascend910A")
    assert (machine.devices, machine.soc, machine.conv_hf32) == (0, "Ascend910B3", True)
    assert not npu_sim.installed()
    assert "torch_npu" not in sys.modules
    assert importlib.util.find_spec("torch_npu") is None
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("torch_npu")
    assert not torch.npu.is_available()
    assert torch.ones(2).add(1).tolist() == [2, 2]


def test_unknown_torch(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    assert "knows PyTorch 2.13.*, this is 2.99.0" in npu_sim.why_not()
    with pytest.raises(RuntimeError, match=r"2\.99\.0"), npu_sim.plug_in():
        pass


def test_real_package_is_not_replaced(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    if torch.__version__.startswith("2.13."):
        assert "real torch_npu" in npu_sim.why_not()
