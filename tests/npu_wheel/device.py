"""Work on the stub's two devices. What is seen goes as JSON into the file that is named: see test_device.py."""

from __future__ import annotations

import copy
import ctypes
import inspect
import json
import logging
import operator
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cvport.models.registry import get_model
from cvport.runtimes.backends.npu import NpuBackend

MIB = 1 << 20
SIDES = {"yolox": 640, "nanodet": 320, "hand_static": 112, "landmarks68": 256, "emotion": 224}
TOLD = re.compile(r"aclnn|aclrt(Malloc|Memcpy|Synchronize|SetDevice)")

cann = ctypes.CDLL("libascendcl.so")
cann.stub_calls.restype = ctypes.c_char_p
cann.stub_memory.argtypes = [ctypes.c_size_t]


class Small(nn.Module):
    """Its first output comes back as it went in, whatever kernels compute; the second needs most memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"same": x, "conv": self.conv(x)}


def images(rows: int = 2, side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3, side, side)).astype(np.float32)


def calls() -> list[str]:
    """Return what CANN was asked for since the last time: memory, copies, kernels, synchronisations."""
    lines = cann.stub_calls().decode().splitlines()
    cann.stub_forget()
    return [line for line in lines if (TOLD.match(line) and "GetWorkspaceSize" not in line) or "cube" in line]


def error_of(action: Callable[[], Any]) -> list[str]:
    """Return kind, text and, of our own errors, the cause's text."""
    try:
        action()
    except Exception as error:
        return [type(error).__name__, str(error), str(error.__cause__ or "")]
    return ["", "", ""]


def flags() -> dict[str, Any]:
    npu = torch.npu
    default = [npu.conv.allow_hf32, npu.matmul.allow_hf32]
    npu.conv.allow_hf32, npu.matmul.allow_hf32 = False, True
    turned = [npu.conv.allow_hf32, npu.matmul.allow_hf32]
    npu.conv.allow_hf32, npu.matmul.allow_hf32 = default
    compiles = []
    for jit_compile in (True, False):
        npu.set_compile_mode(jit_compile=jit_compile)
        compiles.append(not npu.is_jit_compile_false())
    npu.config.allow_internal_format = False
    reading = error_of(lambda: npu.config.allow_internal_format)[0]
    return {"default": default, "turned": turned, "compiles": compiles, "reading internal format": reading}


def parameters(names: list[str]) -> dict[str, list[str] | None]:
    """Return what each of these functions of torch.npu takes; None for one that is not there."""
    found: dict[str, list[str] | None] = {}
    for name in names:
        try:
            found[name] = list(inspect.signature(operator.attrgetter(name)(torch.npu)).parameters)
        except AttributeError:
            found[name] = None
    return found


def precision(name: str) -> dict[str, Any]:
    torch.npu.empty_cache()
    calls()
    array = images()
    with NpuBackend(Small(), "npu:1", precision=name) as backend:
        opened = calls()
        outputs = backend.run({"input": array})
        first = calls()
        backend.run({"input": array})
        return {
            "opened": opened,
            "first": first,
            "second": calls(),
            "outputs": {key: [value.dtype.name, list(value.shape)] for key, value in outputs.items()},
            "off": float(np.abs(outputs["same"] - array).max()),
            "settings": backend.settings,
            "open": torch.npu.memory_allocated(1),
        }


def two_devices() -> dict[str, Any]:
    first, second = NpuBackend(Small(), "npu:0"), NpuBackend(Small(), "npu:1")
    right, waits = [], []
    for turn, backend in enumerate((first, second, first, second)):
        array = images(seed=turn)
        calls()
        right.append(np.array_equal(backend.run({"input": array})["same"], array))
        waits.append([call for call in calls() if call.startswith("aclrtSynchronizeDevice")])
    wait = torch.npu.synchronize
    torch.npu.synchronize = lambda device=None: None
    forgotten = error_of(lambda: first.run({"input": images()}))
    torch.npu.synchronize = wait
    for backend in (first, second):
        backend.close()
        backend.close()
    left = [torch.npu.memory_allocated(index) + torch.npu.memory_reserved(index) for index in range(2)]
    return {"right": right, "waits": waits, "forgotten": forgotten, "left": left}


def memory() -> dict[str, Any]:
    """Blocks are of 2 MiB, of 20 MiB for inputs of this size, and as large as the output of the convolution."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("cvport").addHandler(handler)
    array = images(8, 256)
    try:
        with NpuBackend(Small()) as backend:
            cann.stub_memory(50 * MIB)
            outputs = backend.run({"input": array})
            shapes = [list(shape) for shape in backend.compile_seconds]
            right = np.array_equal(outputs["same"], array)
        with NpuBackend(Small()) as backend:
            cann.stub_memory(20 * MIB)
            batch = error_of(lambda: backend.run({"input": array}))
        cann.stub_memory(1 * MIB)
        network = error_of(lambda: NpuBackend(Small()))
        device = error_of(lambda: torch.empty(1 << 30, device="npu:0"))
    finally:
        cann.stub_memory(8 << 30)
        logging.getLogger("cvport").removeHandler(handler)
    return {"told": told, "pieces": shapes, "right": right, "batch": batch, "network": network, "device": device}


def errors() -> dict[str, list[str]]:
    here = torch.ones(3, device="npu:0")
    cann.stub_fail(b"aclrtSynchronizeDevice", 507015)
    synchronize = error_of(torch.npu.synchronize)
    cann.stub_fail(b"", 0)
    return {
        "index": error_of(lambda: torch.ones(3).to("npu:7")),
        "name": error_of(lambda: torch.npu.get_device_name(7)),
        "numpy": error_of(here.numpy),
        "synchronize": synchronize,
        "mixed": error_of(lambda: nn.functional.conv2d(torch.ones(1, 1, 4, 4).npu(), torch.ones(1, 1, 3, 3))),
    }


def networks() -> dict[str, Any]:
    """Run every model's network: torch_npu infers the shapes of its operators itself, and checks what they take."""
    found = {}
    for name, side in SIDES.items():
        spec = get_model(name)
        network = spec.fuse(spec.build_network(spec.seeded(0)))
        with torch.inference_mode():
            expected = copy.deepcopy(network).to("meta")(torch.empty(2, 3, side, side, device="meta"))
        calls()
        with NpuBackend(network) as backend:
            outputs = backend.run({"input": images(2, side)})
        found[name] = {
            "expected": {key: list(value.shape) for key, value in expected.items()},
            "outputs": {key: list(value.shape) for key, value in outputs.items()},
            "kernels": sum(line.startswith("aclnn") for line in calls()),
        }
    return found


def fallback() -> list[str]:
    """Return the Python warnings of an operator that NPUs do not have."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error_of(lambda: torch.linalg.eigvals(torch.eye(2, device="npu:0")))
    return [str(warning.message) for warning in caught]


def main() -> None:
    torch.set_num_threads(1)
    seen = {
        "flags": flags(),
        "parameters": parameters(sys.argv[2:]),
        "precisions": {name: precision(name) for name in ("strict", "production", "fp16")},
        "two devices": two_devices(),
        "memory": memory(),
        "errors": errors(),
        "networks": networks(),
        "fallback": fallback(),
    }
    Path(sys.argv[1]).write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
