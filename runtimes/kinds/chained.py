"""Results of models in a row as text: what was found in a box stands below the line of the box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...models.registry import get_model
from .registry import get_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import Kind


def describe(kind: Kind, content: dict[str, Any], names: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a result in a few words, and lines below them; those of entries that another model looked at have more.

    Args:
        kind: The kind of the result.
        content: Its JSON form.
        names: What people read instead of some labels.

    """
    summary, lines = kind.describe(content, names)
    (entries,) = content.values()
    if len(lines) != len(entries) or not any("then" in entry for entry in entries if isinstance(entry, dict)):
        return summary, lines
    found: list[str] = []
    for line, entry in zip(lines, entries, strict=True):
        found += [line, *_below(entry.get("then"), names)]
    return summary, found


def _below(then: dict[str, Any] | None, names: Mapping[str, str]) -> list[str]:
    if then is None:
        return []
    model = then["model"]
    if "error" in then:
        return [f"    {model}: {then['error']['message']}"]
    content = {key: value for key, value in then.items() if key != "model"}
    summary, lines = describe(get_kind(get_model(model).kind), content, names)
    deeper = [line for line in lines if line.startswith("    ")]
    return [f"    {model}: {summary}", *(f"  {line}" for line in deeper)]
