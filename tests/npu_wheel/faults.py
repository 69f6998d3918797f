"""Let functions of the stub fail. What is seen goes as JSON into the file that is named: see test_device.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from device import Small, cann, error_of, images

from cvport.runtimes.backends.npu import NpuBackend


def faults() -> dict[str, Any]:
    """Return, for each function that fails once, the error of that run, and of the next one.

    Those that fail on torch_npu's own thread come last, each on a device of its own: it does no more.
    """
    found = {}
    for name, code, device in (
        ("aclrtSetDevice", 507033, "npu:1"),
        ("aclrtSynchronizeDevice", 507015, "npu:0"),
        ("aclnnConvolutionGetWorkspaceSize", 161002, "npu:0"),
        ("aclnnConvolution", 507015, "npu:0"),
        ("aclrtMemcpyAsync", 507899, "npu:1"),
    ):
        torch.npu.set_device("npu:0")
        runs = []
        for code_now in (code, 0):
            cann.stub_fail(name.encode(), code_now)
            runs.append(error_of(lambda device=device, seed=code_now: _run(device, seed)))
        found[name] = runs
    return found


def _run(device: str, seed: int) -> None:
    with NpuBackend(Small(), device) as backend:
        array = images(seed=seed)
        assert np.array_equal(backend.run({"input": array})["same"], array)


if __name__ == "__main__":
    torch.set_num_threads(1)
    Path(sys.argv[1]).write_text(json.dumps(faults()))
