"""The kinds of result: a table of where each is, imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError, did_you_mean
from ...models.lazy import resolve

if TYPE_CHECKING:
    from .base import Kind

KINDS = {
    "detections": ".detections:KIND",
    "landmarks": ".landmarks:KIND",
    "classes": ".classes:KIND",
}


def get_kind(name: str) -> Kind:
    """Return a kind of result by its name, as `ModelSpec.kind` and `Result.kind` give it.

    Raises:
        UsageError: There is no such kind: a model of another package was made for another version.

    """
    if name not in KINDS:
        raise UsageError(f"this version of cvport has no kind of result {name!r}", did_you_mean(name, KINDS))
    kind: Kind = resolve(KINDS[name], __package__ or "")
    return kind
