"""What the parts of a model's code are, for type checkers and for who writes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


class Variant(Protocol):
    """The structure of one network of a family, as its checkpoint's keys and shapes give it."""

    @property
    def title(self) -> str:
        """The structure in a few words."""

    def to_dict(self) -> dict[str, Any]:
        """Return the structure as a JSON-able dictionary."""


class Preprocess(Protocol):
    """(image (h, w, 3) uint8 BGR, params, out (3, H, W) float32 or None) -> (network input, image transform).

    The image transform tells postprocessing how to map results back to the image. Models that look at faces also take
    ``box``, (x1, y1, x2, y2) in pixels of the image; None is the whole image.
    """

    def __call__(  # noqa: D102
        self,
        image: NDArray[np.uint8],
        params: Any,  # noqa: ANN401
        out: Array | None = None,
        **box: Any,  # noqa: ANN401
    ) -> tuple[Array, Any]: ...


class Postprocess(Protocol):
    """(raw outputs of a batch, its image transforms, params, labels) -> one result per image.

    Detectors also take ``classes``, the ids to report, and ``best``, how many of the best candidates to take whatever
    their score.
    """

    def __call__(  # noqa: D102
        self,
        outputs: Mapping[str, Array],
        transforms: Sequence[Any],
        params: Any,  # noqa: ANN401
        labels: Sequence[str],
        **choice: Any,  # noqa: ANN401
    ) -> list[Any]: ...
