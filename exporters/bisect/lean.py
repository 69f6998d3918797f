"""An ONNX file without its weights: they stay on the disk, and are read one by one when they are needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from ...errors import ArtifactError
from ...models.lazy import import_onnx
from ...runtimes.onnx_file import GRAPH, LENGTH, Field, MalformedError, fields_of, read_bytes, read_with
from ..gate.foreign import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx

    from ...runtimes.backends.base import Array

# Fields of GraphProto and TensorProto (onnx.proto).
_INITIALIZER, _RAW_DATA = 5, 9
# Smaller tensors stay in the graph, where tools look at them: shapes, scales, axes.
_LEAST = 1024


class Stored(NamedTuple):
    """A tensor on the disk.

    Attributes:
        path: The file that holds it.
        offset: Where its bytes begin.
        dtype: Of its values.
        shape: Of it.

    """

    path: Path
    offset: int
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    def read(self) -> Array:
        """Return the tensor."""
        count = math.prod(self.shape)
        try:
            values = np.fromfile(self.path, self.dtype, count, offset=self.offset)
        except OSError as error:
            raise ArtifactError(f"cannot read {self.path}: {error.strerror}", "Check the file.") from error
        if values.size != count:
            raise ArtifactError(f"{self.path} became shorter while it was read", "Do not change it meanwhile.")
        return values.reshape(self.shape)


def read_lean(path: Path) -> tuple[onnx.ModelProto, dict[str, Stored]]:
    """Return a file's graph, and where its larger weights are.

    Returns:
        The model, in which those weights are marked as external data, and the weights by name.

    Raises:
        ArtifactError: The file is missing, or no ONNX file that can be read.
        BackendError: onnx is not installed.

    """
    import_onnx()
    found = read_with(path, lambda stream: _read(path, stream))
    return (read_model(path), {}) if found is None else found


def _read(path: Path, stream: BinaryIO) -> tuple[onnx.ModelProto, dict[str, Stored]] | None:
    """Return what `read_lean` does; None where the weights are in other files already."""
    import onnx
    from google.protobuf.message import DecodeError

    size = stream.seek(0, 2)
    outer = list(fields_of(stream, 0, size))
    graphs = [field for field in outer if (field.number, field.wire_type) == (GRAPH, LENGTH)]
    if len(graphs) != 1:
        raise MalformedError(f"it holds {len(graphs)} graphs")
    try:
        # Messages of protobuf can be read from any of their fields, one after the other.
        model = onnx.ModelProto.FromString(_joined(stream, [field for field in outer if field is not graphs[0]]))
        rest, places = [], {}
        for field in fields_of(stream, graphs[0].body, graphs[0].end):
            large = field.number == _INITIALIZER and field.end - field.start > _LEAST
            data = _raw_data(stream, field) if large else None
            if data is None:
                rest.append(field)
            else:
                places[data.body, data.end - data.body] = field
        model.graph.ParseFromString(_joined(stream, rest))
        weights = {}
        for (offset, length), field in places.items():
            kept = [part for part in fields_of(stream, field.body, field.end) if part.number != _RAW_DATA]
            tensor = onnx.TensorProto.FromString(_joined(stream, kept))
            weights[tensor.name] = _stored(path, offset, length, tensor)
            model.graph.initializer.append(tensor)
    except DecodeError as error:
        raise MalformedError(str(error)) from error
    external = any(
        tensor.data_location == onnx.TensorProto.EXTERNAL and tensor.name not in weights
        for tensor in model.graph.initializer
    )
    return None if external else (model, weights)


def _raw_data(stream: BinaryIO, tensor: Field) -> Field | None:
    return next((part for part in fields_of(stream, tensor.body, tensor.end) if part.number == _RAW_DATA), None)


def _joined(stream: BinaryIO, fields: list[Field]) -> bytes:
    parts = []
    for field in fields:
        stream.seek(field.start)
        parts.append(read_bytes(stream, field.end - field.start))
    return b"".join(parts)


def _stored(path: Path, offset: int, length: int, tensor: onnx.TensorProto) -> Stored:
    """Return where a tensor is, and mark it as being elsewhere."""
    import onnx
    from onnx.helper import tensor_dtype_to_np_dtype

    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": path.name, "offset": str(offset), "length": str(length)}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    try:
        dtype = np.dtype(tensor_dtype_to_np_dtype(tensor.data_type))
    except KeyError as error:
        raise MalformedError(f"the tensor {tensor.name} has an unknown type") from error
    if math.prod(tensor.dims) * dtype.itemsize != length:
        raise MalformedError(f"the tensor {tensor.name} has another size than its shape")
    return Stored(path, offset, dtype, tuple(tensor.dims))


def filled(tensor: onnx.TensorProto, weights: Mapping[str, Stored]) -> onnx.TensorProto:
    """Return a tensor with its values, wherever they were."""
    from onnx import numpy_helper

    return numpy_helper.from_array(weights[tensor.name].read(), tensor.name) if tensor.name in weights else tensor
