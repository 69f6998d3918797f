"""The simulated torch_npu of tests/npu_sim against the real one: names, parameters, texts of errors."""

from __future__ import annotations

import inspect
import operator
import re

import pytest
import torch

pytestmark = pytest.mark.npu_wheel


def plain(text: str) -> str:
    """The text without places in the source, times, amounts, and what CANN itself adds."""
    text = re.split(r"\.?If reserved memory|\nthe stub of CANN|\n\[ERROR\] .* ERR00003", text)[0]
    text = re.sub(r":?\.\./\S+:\d+", ":", text)
    text = re.sub(r"\d{4}-\d\d-\d\d-\S+ \(PID:.*?\) ", "", text)
    text = re.sub(r"[\d.]+ (bytes|[KMG]iB)", "#", text)
    return re.sub(r"\s+", " ", text).strip()


def test_every_function_is_there_and_takes_as_much(seen):
    from npu_sim import api

    assert len(seen["parameters"]) > 30
    for name, real in seen["parameters"].items():
        assert real is not None, f"torch.npu.{name} is not there"
        simulated = inspect.signature(operator.attrgetter(name)(api)).parameters
        assert set(simulated) <= set(real), name


@pytest.mark.parametrize("case", ["index", "name", "numpy", "synchronize", "memory"])
def test_errors_read_the_same(seen, npu, case):
    from npu_sim.machine import device_error

    npu.faults = {"synchronize": device_error(507015)} if case == "synchronize" else {}
    here = torch.ones(3, device="npu:0")
    npu.memory = 1 << 20
    actions = {
        "index": lambda: torch.ones(3).to("npu:7"),
        "name": lambda: torch.npu.get_device_name(7),
        "numpy": here.numpy,
        "synchronize": torch.npu.synchronize,
        "memory": lambda: torch.empty(1 << 30, device="npu:0"),
    }
    with pytest.raises(Exception) as simulated:  # noqa: PT011
        actions[case]()
    kind, text, _ = seen["memory"]["device"] if case == "memory" else seen["errors"][case]
    assert type(simulated.value).__name__ == kind
    assert plain(str(simulated.value)) == plain(text)


def test_mixed_devices_differ_by_operator(seen, npu):
    """So nothing may match the text."""
    kind, text, _ = seen["errors"]["mixed"]
    with pytest.raises(RuntimeError) as simulated:
        torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4, device="npu"), torch.ones(1, 1, 3, 3))
    assert kind == "RuntimeError"
    start = "Expected all tensors to be on the same device, but "
    assert str(simulated.value).startswith(start)
    assert text.startswith(start)
