"""The kinds of result: a table of where each is, imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...models.lazy import resolve

if TYPE_CHECKING:
    from .base import Kind

KINDS = {
    "detections": ".detections:KIND",
    "landmarks": ".landmarks:KIND",
    "classes": ".classes:KIND",
}


def get_kind(name: str) -> Kind:
    """Return a kind of result by its name, as `ModelSpec.kind` and `Result.kind` give it."""
    kind: Kind = resolve(KINDS[name], __package__ or "")
    return kind
