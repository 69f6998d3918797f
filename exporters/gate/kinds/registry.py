"""The kinds of result that the gate knows: a table of where each is, imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....errors import UsageError, did_you_mean
from ....models.lazy import resolve

if TYPE_CHECKING:
    from .base import GateKind

GATE_KINDS = {
    "detections": ".detections:GATE",
    "landmarks": ".landmarks:GATE",
    "classes": ".classes:GATE",
}


def get_gate_kind(name: str) -> GateKind:
    """Return what the gate knows about a kind of result, by the name that `ModelSpec.kind` gives.

    Raises:
        UsageError: There is no such kind: a model of another package was made for another version.

    """
    if name not in GATE_KINDS:
        raise UsageError(
            f"this version of cvport cannot compare results of kind {name!r}", did_you_mean(name, GATE_KINDS)
        )
    kind: GateKind = resolve(GATE_KINDS[name], __package__ or "")
    return kind
