"""Checking a file for a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .graph import read_graph
from .registry import get_target
from .verdicts import Report

if TYPE_CHECKING:
    from pathlib import Path


def check_file(path: Path, target: str) -> Report:
    """Return what a target makes of a file.

    Args:
        path: Any .onnx file; weights in other files have to lie beside it.
        target: A name of `registry.TARGETS`.

    Raises:
        UsageError: There is no such target.
        ArtifactError: The file is missing or damaged.
        BackendError: The target needs a package that is not installed.

    """
    row = get_target(target)
    return Report(str(path), row.name, row.check(read_graph(path)))
