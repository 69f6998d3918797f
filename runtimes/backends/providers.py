"""Execution providers of ONNX Runtime: what runs a file's operators, and whether it really does."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...errors import BackendError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOG = logging.getLogger(__name__)
CPU = "CPUExecutionProvider"
# By the names that --providers takes: (ONNX Runtime's name, the package that has it).
PROVIDERS = {
    "cpu": (CPU, "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
    "cann": ("CANNExecutionProvider", "onnxruntime-cann"),
    "dml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime, on macOS"),
    "migraphx": ("MIGraphXExecutionProvider", "onnxruntime-migraphx"),
    "qnn": ("QNNExecutionProvider", "onnxruntime-qnn"),
    "xnnpack": ("XnnpackExecutionProvider", "a build of your own"),
}
# Asks ONNX Runtime to keep where each operator runs; versions before 1.24 do not know it.
RECORD = ("session.record_ep_graph_assignment_info", "1")


def resolve_providers(names: Sequence[str], available: Sequence[str]) -> list[str]:
    """Return ONNX Runtime's names of providers, the CPU's last.

    Args:
        names: As ``--providers`` takes them, in the order of preference.
        available: What this build has.

    Raises:
        UsageError: There is no such provider.
        BackendError: This build does not have it.

    """
    found = []
    for name in names:
        if name not in PROVIDERS:
            raise UsageError(f"there is no provider {name!r}", did_you_mean(name, PROVIDERS))
        provider, package = PROVIDERS[name]
        if provider not in available:
            raise BackendError(
                f"this onnxruntime was built without {provider}",
                f"It comes with {package}; two packages of onnxruntime cannot live side by side.",
            )
        found.append(provider)
    return [*[provider for provider in dict.fromkeys(found) if provider != CPU], CPU]


def check_used(asked: Sequence[str], session: Any, *, recorded: bool = True) -> Mapping[str, int]:  # noqa: ANN401
    """Return how many nodes run on which provider; say where some fall back to the CPU.

    Args:
        asked: ONNX Runtime's names.
        session: An open session.
        recorded: Whether it was made with `RECORD`.

    Raises:
        BackendError: A provider that was asked for runs nothing.

    """
    got = session.get_providers()
    lost = [provider for provider in asked if provider not in got]
    if lost:
        raise BackendError(f"ONNX Runtime runs on {got[0]} instead of {lost[0]}", "Check its libraries and drivers.")
    placed = placement(session) if recorded else {}
    idle = [provider for provider in asked if provider != CPU and placed and not placed.get(provider)]
    if idle:
        raise BackendError(
            f"no operator of this file runs on {idle[0]}: {_shown(placed)}", "Leave the provider out, or look with -v."
        )
    if asked[0] != CPU and placed.get(CPU):
        _LOG.warning("note: %d of %d operators fall back to the CPU", placed[CPU], sum(placed.values()))
    if placed:
        _LOG.info("placement: %s", _shown(placed))
    return placed


def placement(session: Any) -> dict[str, int]:  # noqa: ANN401
    """Return how many operators of a session run on which provider; empty where this ONNX Runtime does not tell."""
    tell = getattr(session, "get_provider_graph_assignment_info", None)
    if tell is None:
        return {}
    counts: Counter[str] = Counter()
    for part in tell():
        counts[str(part.ep_name)] += len(part.get_nodes())
    return dict(counts)


def _shown(placed: Mapping[str, int]) -> str:
    return ", ".join(f"{count} on {name.removesuffix('ExecutionProvider')}" for name, count in placed.items())
