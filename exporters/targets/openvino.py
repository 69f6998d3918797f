"""Whether the installed OpenVINO reads a file as ONNX Runtime does: by running both on the CPU."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BackendError
from .loading import Runtime, check_by_running

if TYPE_CHECKING:
    from pathlib import Path

    from .graph import Graph
    from .loading import Arrays, Run
    from .verdicts import Outcome

# How OpenVINO names what it cannot convert: by what a node gives, else by operators as my.domain.Operator or
# Operator-19, with the version.
_NODE = re.compile(r"<Node\([^)]*\): ([^>]+)>")
_LISTED = re.compile(r"(?:found for operations|is failed for): (.+)")
# Processors with bfloat16 would be used so, unless told otherwise.
_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}


def check(graph: Graph, _release: str) -> Outcome:
    """Return what OpenVINO makes of a file.

    Raises:
        BackendError: OpenVINO cannot be imported.
        ArtifactError: ONNX Runtime cannot run the file.

    """
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise BackendError(f"OpenVINO cannot be imported: {error}", "Install it: pip install openvino") from error
    version = str(openvino.__version__).partition("-")[0]
    return check_by_running(graph, Runtime(f"OpenVINO {version}", _open, _nodes))


def _open(path: Path) -> Run:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", _SETTINGS)

    def run(inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        values = compiled(dict(inputs))
        return {name: np.asarray(values[port]) for port in compiled.outputs for name in port.names}

    return run


def _nodes(message: str, graph: Graph) -> set[str]:
    named = set(_NODE.findall(message))
    found = {node.name for node in graph.nodes if named & {node.name, *node.outputs}}
    listed = {word for line in _LISTED.findall(message) for word in re.split(r"[,\s]+", line)}
    kinds = listed | {word.rpartition("-")[0] for word in listed}
    return found or {node.name for node in graph.nodes if node.kind in kinds}
