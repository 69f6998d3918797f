"""Loads weights into a network strictly: every tensor has its place, or the error lists those that have none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...errors import WeightsError

# How many batches a BatchNorm was trained on: not used by inference, left out or stored as (1,) by some writers.
_COUNTER = "num_batches_tracked"
_SHOWN = 10

_log = logging.getLogger(__name__)

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The number of tensors and parameters that were loaded.

    Attributes:
        tensors: Tensors that the checkpoint gave.
        expected: Entries of the network's state dict.
        parameters: Trainable numbers of the network.

    """

    tensors: int
    expected: int
    parameters: int

    def __str__(self) -> str:
        absent = self.expected - self.tensors
        note = f" ({absent} {_COUNTER} not stored)" if absent else ""
        return f"{self.tensors}/{self.expected} tensors{note}, {self.parameters:,} parameters"


def load_strict(network: nn.Module, state: Mapping[str, Tensor | NDArray[Any]]) -> LoadReport:
    """Copy *state* into *network*, cast to float32; nothing is changed unless all of it fits.

    Parameters on the meta device become real ones on the CPU.

    Args:
        network: The network; its state dict says which keys and shapes are needed.
        state: Tensors or arrays of any float dtype by key. Only ``num_batches_tracked`` may be absent or
            of shape (1,).

    Returns:
        How many tensors and parameters were loaded.

    Raises:
        WeightsError: A key is missing, unexpected, misshapen or holds no float tensor.

    """
    needed = network.state_dict()
    _check(needed, state)
    values = {key: _convert(key, state.get(key), target) for key, target in needed.items()}
    network.load_state_dict(values, strict=True, assign=True)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    report = LoadReport(tensors=len(state), expected=len(needed), parameters=parameters)
    _log.info("loaded %s", report)
    return report


def build_strict(make: Callable[[], _Network], state: Mapping[str, Tensor | NDArray[Any]], title: str) -> _Network:
    """Build a network and load it strictly.

    Args:
        make: Builds the network, whose structure was read from *state*.
        state: See `load_strict`.
        title: The structure, for messages.

    Returns:
        The network in eval mode, without gradients.

    Raises:
        WeightsError: There is no such network, or the tensors do not all match.

    """
    # On the meta device nothing is allocated or initialised before the weights are known to fit.
    try:
        with torch.device("meta"):
            network = make()
    except (ValueError, RuntimeError) as error:
        raise WeightsError(
            f"no network can be built as these weights tell it ({title}): {error}",
            "Check that the file is complete; the shapes of its tensors contradict each other.",
        ) from error
    load_strict(network, state)
    return network.eval().requires_grad_(False)


def _check(needed: Mapping[str, Tensor], state: Mapping[str, object]) -> None:
    """Raise an error that counts and lists whatever does not fit."""
    foreign = [f"{key} ({kind})" for key, value in state.items() if (kind := _foreign_kind(key, value))]
    arrays = {key: value for key, value in state.items() if isinstance(value, Tensor | np.ndarray | np.generic)}
    misshapen = [
        f"{key} has {tuple(arrays[key].shape)}, needs {tuple(target.shape)}"
        for key, target in needed.items()
        if key in arrays and not _fits(key, arrays[key].shape, target.shape)
    ]
    problems = {
        "missing": [key for key in needed if key not in state and not _is_counter(key)],
        "unexpected": [key for key in state if key not in needed],
        "misshapen": misshapen,
        "not a float tensor": foreign,
    }
    if not any(problems.values()):
        return
    counts = ", ".join(f"{len(keys)} {name}" for name, keys in problems.items() if keys)
    lists = "".join(f"\n  {name}: {_shorten(keys)}" for name, keys in problems.items() if keys)
    raise WeightsError(
        f"the weights do not fit the network of {len(needed)} tensors: {counts}{lists}",
        "Check that the file belongs to this model and is complete.",
    )


def _shorten(keys: Sequence[str]) -> str:
    more = len(keys) - _SHOWN
    return "; ".join(keys[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _is_counter(key: str) -> bool:
    return key.rpartition(".")[2] == _COUNTER


def _fits(key: str, has: Sequence[int], needs: Sequence[int]) -> bool:
    return tuple(has) == tuple(needs) or (_is_counter(key) and tuple(has) == (1,))


def _foreign_kind(key: str, value: object) -> str:
    """Return what *value* is if it cannot be loaded, else an empty string."""
    if isinstance(value, Tensor):
        usable = value.is_floating_point() or _is_counter(key)
        return "" if usable else str(value.dtype)
    if isinstance(value, np.ndarray | np.generic):
        # bfloat16 and the like of the ml_dtypes package are of numpy's kind V.
        usable = value.dtype.kind == "f" or "float" in value.dtype.name or _is_counter(key)
        return "" if usable else value.dtype.name
    return type(value).__name__


def _convert(key: str, value: Tensor | NDArray[Any] | None, target: Tensor) -> Tensor:
    """Return a tensor of its own memory, on the target's device, in the shape of *target*."""
    device = torch.device("cpu") if target.is_meta else target.device
    dtype = torch.int64 if _is_counter(key) else torch.float32
    if value is None:
        return torch.zeros(target.shape, dtype=dtype, device=device)
    if not isinstance(value, Tensor):
        value = torch.from_numpy(np.array(value, dtype=np.int64 if _is_counter(key) else np.float32))
    return value.detach().to(device=device, dtype=dtype, copy=True).reshape(target.shape).contiguous()
