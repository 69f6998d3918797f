"""Postprocessing as a comparison needs it: one row of a batch at a time, with some parameters changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...models.spec import ModelSpec
    from ..backends.base import Array


@dataclass(frozen=True)
class Decoder:
    """A model's postprocessing with its parameters and labels.

    Attributes:
        spec: The model.
        params: Of its postprocessing.
        labels: Class names.
        classes: Numbers of the classes to report; None for all.

    """

    spec: ModelSpec
    params: Any
    labels: Sequence[str]
    classes: Sequence[int] | None = None

    def __call__(
        self,
        outputs: Mapping[str, Array],
        transform: Any,  # noqa: ANN401
        *,
        best: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Decode one row of a batch, with some parameters changed; *best* as `Postprocess` tells."""
        params = replace(self.params, **changes)
        choice: dict[str, Any] = {} if best is None else {"best": best}
        choice |= {} if self.classes is None else {"classes": self.classes}
        (result,) = self.spec.postprocess(outputs, [transform], params, self.labels, **choice)
        return result


class Decode(Protocol):
    """`Decoder` for one image, whose place in the network input is fixed: a row of outputs -> its result."""

    def __call__(  # noqa: D102
        self,
        outputs: Mapping[str, Array],
        *,
        best: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> Any: ...  # noqa: ANN401
