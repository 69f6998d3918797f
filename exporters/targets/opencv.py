"""Whether the installed OpenCV reads a file as ONNX Runtime does: by running both."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ...errors import BackendError
from .loading import Runtime, check_by_running

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from .graph import Graph
    from .loading import Arrays, Run
    from .verdicts import Outcome

_SILENT = 0
# How cv2.dnn names the node that it fails at.
_NAMED = re.compile(r"onnx_node!([^)\"]+)[)\"]")


def check(graph: Graph, _release: str) -> Outcome:
    """Return what cv2.dnn makes of a file.

    Raises:
        BackendError: OpenCV cannot be imported, or was built without dnn.
        ArtifactError: ONNX Runtime cannot run the file.

    """
    try:
        import cv2

        version = f"OpenCV {cv2.__version__}"
        _ = cv2.dnn.readNetFromONNX
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"OpenCV cannot be used: {error}", "Install it: pip install opencv-python-headless"
        ) from error
    logging = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4 and 5
    before = logging.getLogLevel()
    logging.setLogLevel(_SILENT)  # what fails raises an exception that says the same
    try:
        return check_by_running(graph, Runtime(version, _open, _nodes))
    finally:
        logging.setLogLevel(before)


def _open(path: Path) -> Run:
    import cv2

    network = cv2.dnn.readNetFromONNX(str(path))
    names = list(network.getUnconnectedOutLayersNames())

    def run(inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        for name, value in inputs.items():
            network.setInput(value, name)
        return dict(zip(names, network.forward(names), strict=True))

    return run


def _nodes(message: str, graph: Graph) -> set[str]:
    found = set(_NAMED.findall(message))
    return {node.name for node in graph.nodes if node.name in found}
