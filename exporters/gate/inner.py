"""A copy of a file whose graph goes on after what its network gives: it gives that too, and has no threshold."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArtifactError
from ...runtimes.backends.onnx import OnnxBackend
from ..graphs.suppression import THRESHOLD
from .foreign import read_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def opened(path: Path, names: Sequence[str], threshold: float) -> Iterator[OnnxBackend]:
    """Open a copy of a file that gives values from its inside before its own outputs, and takes every candidate.

    Args:
        path: The file.
        names: The values.
        threshold: Of scores, as it is sealed.

    Raises:
        ArtifactError: It has no such values, or not that threshold.

    """
    import onnx
    from onnx import numpy_helper

    model = read_model(path)
    thresholds = [tensor for tensor in model.graph.initializer if tensor.name == THRESHOLD]
    made = {name for node in model.graph.node for name in node.output}
    missing = [name for name in names if name not in made] + ([] if thresholds else [THRESHOLD])
    if missing:
        raise ArtifactError(f"{path} has no {', '.join(missing)} inside", "Export it again.")
    for tensor in thresholds:
        if not np.array_equal(numpy_helper.to_array(tensor), np.float32(threshold)):
            raise ArtifactError(f"{path} has another score threshold in its graph than in its seal", "Export it again.")
        tensor.CopyFrom(numpy_helper.from_array(np.zeros((), np.float32), tensor.name))
    own = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([*(onnx.ValueInfoProto(name=name) for name in names), *own])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        onnx.save(model, copy)
        with OnnxBackend(copy) as backend:
            yield backend
