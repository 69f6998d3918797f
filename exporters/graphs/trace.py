"""From a network to the bytes of a sealed ONNX file."""

from __future__ import annotations

import importlib.metadata
import logging
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import BackendError, CvportError
from ...models.lazy import import_torch
from ...runtimes.seal import KEY, content_digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from torch import nn

    from ...models.spec import ModelSpec
    from ...runtimes.seal import Seal

OPSET = 18
_TOOLS = ("cvport", "torch", "onnx", "onnxscript", "onnxsim")
# torch.export treats the sizes 0 and 1 as special, so a dynamic batch is traced with another.
_TRACED_BATCH = 2


def tool_versions() -> dict[str, str]:
    """Return the version of each package that decides the bytes of the file.

    Raises:
        BackendError: One of them is not installed.

    """
    versions = {}
    for name in _TOOLS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise BackendError(f"{name} is not installed", "Install it: pip install 'cvport[export]'") from error
    return versions


def trace(network: nn.Module, spec: ModelSpec, input_size: tuple[int, int], batch: str | int) -> onnx.ModelProto:
    """Export a fused network with torch.export; see `trace_program`."""
    model: onnx.ModelProto = trace_program(network, spec, input_size, batch).model_proto
    return model


def trace_program(network: nn.Module, spec: ModelSpec, input_size: tuple[int, int], batch: str | int) -> Any:  # noqa: ANN401
    """Export a fused network with torch.export.

    Args:
        network: In eval mode; maps (N, 3, H, W) to a dict of outputs.
        spec: Names of the input and the outputs.
        input_size: (H, W), fixed in the file.
        batch: "dynamic", or the one batch size of the file.

    Returns:
        torch's ONNXProgram: the graph as ONNX (``model_proto``), and as torch runs it (``exported_program``). Values
        have the same names in both.

    """
    torch = import_torch()
    rows = _TRACED_BATCH if batch == "dynamic" else int(batch)
    example = torch.zeros(rows, 3, *input_size)
    dynamic = ({0: torch.export.Dim("batch")},) if batch == "dynamic" else None
    with _quiet_exporter():
        return torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.input_name],
            output_names=list(spec.output_names),
            dynamic_shapes=dynamic,
            verbose=False,
        )


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and drop what the exporter left behind."""
    import onnxsim

    simplified: onnx.ModelProto
    # onnxsim can run both files on random inputs; the comparison with PyTorch that follows is stricter.
    simplified, _ = onnxsim.simplify(model, check_n=0)
    return simplified


def finish(model: onnx.ModelProto, seal: Seal) -> bytes:
    """Clean, seal and check a model; return its bytes, the same for the same inputs.

    Raises:
        CvportError: The model does not pass onnx's full check, or has another opset.

    """
    import onnx

    _strip(model)
    digest = content_digest_of(_serialize(model))
    model.metadata_props.add(key=KEY, value=replace(seal, digest=digest).to_json())
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": seal.opset}:
        raise CvportError(
            f"the exporter wrote opsets {opsets} instead of {seal.opset}", "Report this with the versions."
        )
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise CvportError(f"the exported model is not valid ONNX: {error}", "Report this with the versions.") from error
    return _serialize(model)


def _serialize(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def _strip(model: onnx.ModelProto) -> None:
    """Remove stack traces, local paths and tool notes: they differ from machine to machine and tell users nothing."""
    model.ClearField("metadata_props")
    model.doc_string = ""
    model.producer_name, model.producer_version = "cvport", importlib.metadata.version("cvport")
    del model.functions[:]
    graph = model.graph
    graph.doc_string = ""
    graph.ClearField("metadata_props")
    parts: list[Any] = [*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info]
    for part in parts:
        part.ClearField("metadata_props")
        part.doc_string = ""


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence notes of torch's exporter that are about torch (torchvision missing, deprecations inside torch)."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
