"""cvport: from a PyTorch checkpoint to an ONNX file proved equal to it, and the same run on every backend.

>>> import cvport
>>> artifact = cvport.export("yolox", weights="yolox_nano.pth")  # doctest: +SKIP
>>> predictor = cvport.load(artifact.onnx, backend="onnx")  # doctest: +SKIP
>>> detections = predictor("image.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        ArtifactError,
        BackendError,
        CvportError,
        InputError,
        ParityFailed,
        ParityIncomplete,
        UsageError,
        WeightsError,
    )
    from .exporters.export import Artifact, export
    from .models.registry import get_model, list_models
    from .models.results import Chained, Classification, Detections, Landmarks
    from .models.spec import VariantOptions
    from .runtimes.chain import Chain, chain
    from .runtimes.kinds.drawing import draw
    from .runtimes.load import load
    from .runtimes.parity.compare import Comparison, compare
    from .runtimes.predictor import Predictor
    from .runtimes.sources.images import read_image

__version__ = "0.1.0"

# Importing cvport imports nothing heavy: each name is fetched when it is first used.
_WHERE = {
    "Artifact": ".exporters.export",
    "ArtifactError": ".errors",
    "BackendError": ".errors",
    "Chain": ".runtimes.chain",
    "Chained": ".models.results",
    "Classification": ".models.results",
    "Comparison": ".runtimes.parity.compare",
    "CvportError": ".errors",
    "Detections": ".models.results",
    "InputError": ".errors",
    "Landmarks": ".models.results",
    "ParityFailed": ".errors",
    "ParityIncomplete": ".errors",
    "Predictor": ".runtimes.predictor",
    "UsageError": ".errors",
    "VariantOptions": ".models.spec",
    "WeightsError": ".errors",
    "chain": ".runtimes.chain",
    "compare": ".runtimes.parity.compare",
    "draw": ".runtimes.kinds.drawing",
    "export": ".exporters.export",
    "get_model": ".models.registry",
    "list_models": ".models.registry",
    "load": ".runtimes.load",
    "read_image": ".runtimes.sources.images",
}

__all__ = [
    "Artifact",
    "ArtifactError",
    "BackendError",
    "Chain",
    "Chained",
    "Classification",
    "Comparison",
    "CvportError",
    "Detections",
    "InputError",
    "Landmarks",
    "ParityFailed",
    "ParityIncomplete",
    "Predictor",
    "UsageError",
    "VariantOptions",
    "WeightsError",
    "chain",
    "compare",
    "draw",
    "export",
    "get_model",
    "list_models",
    "load",
    "read_image",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_WHERE[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
