"""A copy of a file that gives its inner values as outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Graph

# Larger messages are too near the 2 GiB that protobuf writes.
_MOST_BYTES = 1 << 30
_FLOAT = 1


def with_inner_values(graph: Graph) -> bytes | None:
    """Return a copy of a file whose float32 values of known shape are all outputs; None of one that is too large."""
    from ..gate.foreign import read_model

    model = read_model(graph.path)
    if model.ByteSize() > _MOST_BYTES:
        return None
    made = {name for node in model.graph.node for name in node.output} - set(graph.outputs)
    wanted = [value for value in graph.values if value.name in made]
    kinds = [value.type.tensor_type for value in wanted]
    model.graph.output.extend(
        value for value, kind in zip(wanted, kinds, strict=True) if kind.elem_type == _FLOAT and kind.HasField("shape")
    )
    content: bytes = model.SerializeToString()
    return content
