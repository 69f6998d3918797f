"""What is added to a traced graph for forms that no network gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...models.lazy import resolve
from .suppression import append_suppression

if TYPE_CHECKING:
    import onnx

    from ...models.spec import ModelSpec


def add_tail(model: onnx.ModelProto, spec: ModelSpec, params: Any) -> None:  # noqa: ANN401
    """Add to the graph of `ModelSpec.inner` what follows it in the form of a model; nothing where that is the same.

    Args:
        model: Changed in place.
        spec: The model in the form that the file is to have.
        params: Of the postprocessing.

    """
    if spec.inner is not spec:
        append_suppression(model, params, best_class_only=resolve(".postprocess:BEST_CLASS_ONLY", spec.package))
