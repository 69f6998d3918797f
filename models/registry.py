"""The models: a table of where each spec is, imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError, did_you_mean
from .lazy import resolve

if TYPE_CHECKING:
    from .spec import ModelSpec

MODELS = {
    "yolox": ".yolox.spec:SPEC",
    "nanodet": ".nanodet.spec:SPEC",
    "hand_static": ".hand_static.spec:SPEC",
    "landmarks68": ".landmarks68.spec:SPEC",
    "emotion": ".emotion.spec:SPEC",
}


def list_models() -> list[str]:
    """Return the names of all models."""
    return list(MODELS)


def get_model(name: str) -> ModelSpec:
    """Return the spec of a model.

    Raises:
        UsageError: There is no model of that name.

    """
    if name not in MODELS:
        raise UsageError(f"there is no model {name!r}", did_you_mean(name, MODELS))
    spec: ModelSpec = resolve(MODELS[name], __package__)
    return spec
