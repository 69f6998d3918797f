"""Adds operators to a graph, written as calls: ``op.Add(a, b)``."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx


class Operators:
    """Every operator of ONNX as a method: its inputs are names of values, or arrays, which become constants.

    Args:
        graph: Where they are added, at its end.
        prefix: Of the names of what is added; nothing in the graph may begin with it.

    """

    def __init__(self, graph: onnx.GraphProto, prefix: str) -> None:
        self._graph, self._prefix = graph, prefix
        self._numbers: Counter[str] = Counter()

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        return partial(self.add, kind)

    def add(self, kind: str, *inputs: Any, outputs: tuple[str, ...] = (), **attributes: Any) -> Any:  # noqa: ANN401
        """Add an operator.

        Args:
            kind: As ONNX calls it.
            inputs: Names of values, or arrays and numbers of numpy.
            outputs: Their names; none makes one of its own.
            attributes: As ONNX calls them.

        Returns:
            The name of the output; of several a tuple.

        """
        from onnx import helper

        name = self._name(kind)
        made = outputs or (name,)
        taken = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self._graph.node.append(helper.make_node(kind, taken, list(made), name, **attributes))
        return made[0] if len(made) == 1 else made

    def constant(self, value: Any, name: str | None = None) -> str:  # noqa: ANN401
        """Add a constant and return its name."""
        from onnx import numpy_helper

        full = f"{self._prefix}/{name}" if name else self._name("constant")
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value), full))
        return full

    def _name(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{self._prefix}/{kind}_{self._numbers[kind]}"
