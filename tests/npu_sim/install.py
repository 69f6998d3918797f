"""Putting the simulation in the place of torch_npu."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from types import ModuleType
from typing import Any

import torch

from . import api, copies, kernels, memory, storages
from .machine import Machine, machine

_KNOWN_TORCH = "2.13."
VERSION = f"{torch.__version__.partition('+')[0]}+simulated"

_OWN = {
    "empty.memory_format": kernels.empty,
    "empty_strided": kernels.empty_strided,
    "resize_": kernels.resize,
    "convolution_overrideable": kernels.convolution,
    "scaled_dot_product_attention": kernels.attention,
    "_copy_from": copies.copy_from,
    "_copy_from_and_resize": copies.copy_from,
    "_to_copy": copies.to_copy,
}
_ON_VIEWS = (
    "as_strided",
    "view",
    "_reshape_alias",
    "unfold",
    "set_.source_Storage",
    "set_.source_Storage_storage_offset",
    "set_.source_Tensor",
    "view_as_real",
    "view_as_complex",
)


def why_not() -> str | None:
    """Return why the simulation cannot be used here, or None."""
    if not torch.__version__.startswith(_KNOWN_TORCH):
        return f"the simulated NPU knows PyTorch {_KNOWN_TORCH}*, this is {torch.__version__}"
    if "torch_npu" not in sys.modules and importlib.util.find_spec("torch_npu") is not None:
        return "the real torch_npu is installed, which the simulated NPU must not replace"
    return None


@functools.cache
def _register() -> tuple[object, ...]:
    """Teach torch the device ``npu``, once a process, and return what must stay alive for it."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend("npu", backend_module=api)
    anything = torch.library.Library("_", "IMPL")
    anything.fallback(kernels.run, dispatch_key="PrivateUse1")
    autocast = torch.library.Library("_", "IMPL")
    autocast.fallback(torch.library.fallthrough_kernel, dispatch_key="AutocastPrivateUse1")
    aten = torch.library.Library("aten", "IMPL")
    for name, kernel in _OWN.items():
        aten.impl(name, kernel, "PrivateUse1")
    for name in _ON_VIEWS:
        aten.impl(name, kernels.on_views(_operator(name)), "PrivateUse1")
    aten.impl("is_pinned", memory.is_pinned, "CPU")
    aten.impl("_pin_memory", memory.pin, "CPU")
    return anything, autocast, aten


def _operator(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


@contextmanager
def plug_in(**knobs: Any) -> Iterator[Machine]:
    """Have simulated devices and a torch_npu in this process; *knobs* are those of `Machine`, one device by default."""
    reason = why_not()
    if reason:
        raise RuntimeError(reason)
    _register()
    modules = {"torch_npu": _torch_npu(), "torch_npu.npu": api}
    finder = _Finder()
    machine.reset(**{"devices": 1} | knobs)
    sys.modules.update(modules)
    sys.meta_path.append(finder)
    try:
        with storages.patched():
            yield machine
    finally:
        sys.meta_path.remove(finder)
        for name in modules:
            sys.modules.pop(name, None)
        machine.reset()


def installed() -> bool:
    """Return whether the simulation is plugged in."""
    return getattr(sys.modules.get("torch_npu"), "__version__", None) == VERSION


def _torch_npu() -> ModuleType:
    module = ModuleType("torch_npu", "A simulation.")
    module.__spec__ = ModuleSpec("torch_npu", None)
    module.__dict__.update(__version__=VERSION, npu=api, __getattr__=_not_simulated)
    return module


def _not_simulated(name: str) -> Callable[..., Any]:
    """Return a function that fails when it is called: others import fused kernels by name."""
    if name.startswith("__"):
        raise AttributeError(name)

    def kernel(*positional: Any, **named: Any) -> Any:
        raise NotImplementedError(f"torch_npu.{name} is not simulated")

    return kernel


class _Finder(DistributionFinder):
    """Tells `importlib.metadata` the version of the simulated package."""

    def find_spec(self, *arguments: Any) -> None:
        return None

    def find_distributions(self, context: Any = None) -> list[Distribution]:
        name = getattr(context, "name", None)
        return [_Metadata()] if name is None or name.replace("-", "_") == "torch_npu" else []


class _Metadata(Distribution):
    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: torch-npu\nVersion: {VERSION}\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(path)
