"""What two legs may differ by: as their artifact records it, else by a table."""

from __future__ import annotations

import json
import logging
import math
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from ...models.weights.digest import sha256_file
from .limits import Limits, TensorLimit, figure_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..kinds.base import Kind
    from .limits import DecodedLimit

RECORD = "parity.json"
# The leg of an exported file, whose limits are those of the record.
_FILE = "onnx"
# How far outputs may be apart in a precision, as a part of the largest value, and how many times the usual limits of
# results that is: a network of some hundred operators loses about three digits of what it computes with, of float32's
# seven, of the ten bits of HF32 and float16 nearly all.
RELATIVE = {"fp32": 1e-3, "strict": 1e-3, "production": 1e-2, "fp16": 2e-2}
_log = logging.getLogger(__name__)
_TIMES = {name: value / RELATIVE["fp32"] for name, value in RELATIVE.items()}


def default_limits(kind: Kind, outputs: Sequence[str], precisions: Sequence[str]) -> Limits:
    """Return what two legs may differ by where nothing is recorded.

    Args:
        kind: Of the results.
        outputs: Names of the network's outputs.
        precisions: Of the two legs; the coarser one counts.

    """
    coarsest = max(precisions, key=lambda name: RELATIVE.get(name, 0.0))
    relative, times = RELATIVE.get(coarsest, RELATIVE["fp32"]), _TIMES.get(coarsest, 1.0)
    derived = f"default for {coarsest}: {relative:g} of the largest value"
    tensors = {name: TensorLimit(0.0, relative, derived) for name in outputs}
    changes: dict[str, Any] = {
        name: _times(name, getattr(kind.usual, name), times) for name in figure_names(kind.usual)
    }
    return Limits(tensors, replace(kind.usual, **changes, derived=f"default for {coarsest}"))


def _times(name: str, value: float, times: float) -> float:
    """Return a limit so many times as wide; of an IoU, what is missing to 1 is."""
    return max(1 - times * (1 - value), 0.0) if name == "iou" else times * value


def recorded_limits(
    path: Path, kind: Kind, outputs: Sequence[str], leg: str, sha256: str | None = None
) -> Limits | None:
    """Return what a leg of an exported file may differ by, as the record beside the file has it.

    Args:
        path: The file.
        kind: Of its results.
        outputs: Names of its outputs.
        leg: Name of the leg, such as "onnx" or "npu-production".
        sha256: Of the file, where it is known.

    Returns:
        The limits of inputs with the usual rounding, for a device the widest of its cases; None where there is no
        record of these very bytes, or of no such leg.

    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        content = json.loads(path.with_name(RECORD).read_text(encoding="utf-8"))
        found = content["limits"] if leg == _FILE else content["legs"][leg]["limits"]
        if content["onnx_sha256"] != (sha256 or sha256_file(path)):
            _log.warning("note: %s is about another file than %s; its limits are not used", RECORD, path.name)
            return None
        tensors = {name: _tensor_limit(found["tensors"][name], f"{RECORD}, {leg}") for name in outputs}
        return Limits(tensors, _decoded_limit(kind, found["decoded"], f"{RECORD}, {leg}"))
    return None


def _tensor_limit(content: Mapping[str, Any], derived: str) -> TensorLimit:
    values = {name: float(content[name]) for name in ("max_abs", "rtol")}
    return TensorLimit(**values, derived=derived, rms=float(content.get("rms", math.inf)))


def _decoded_limit(kind: Kind, content: Mapping[str, Any], derived: str) -> DecodedLimit:
    names = [entry.name for entry in fields(kind.limit) if entry.name != "derived"]
    limit: DecodedLimit = kind.limit(**{name: float(content[name]) for name in names}, derived=derived)
    return limit
