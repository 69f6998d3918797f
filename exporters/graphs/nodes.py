"""The operators of a file and the PyTorch modules that they come from: nodes.json, beside an artifact and not in it."""

from __future__ import annotations

import ast
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx

NODES = "nodes.json"
_SCHEMA_VERSION = 1


def module_paths(traced: onnx.ModelProto) -> dict[str, str]:
    """Return the path of the PyTorch module that each value comes from, by its name; "" is the network itself.

    The exporter writes the scopes of a node into its metadata (torch/onnx/_internal/exporter, name_scopes).
    """
    found: dict[str, str] = {}
    for node in traced.graph.node:
        entries = {entry.key: entry.value for entry in node.metadata_props}
        try:
            scopes = ast.literal_eval(entries.get("pkg.torch.onnx.name_scopes", "[]"))
        except (SyntaxError, ValueError):
            continue
        named = [str(scope) for scope in scopes[:-1] if scope]  # the last scope is the node itself
        if named:
            found |= dict.fromkeys(node.output, named[-1])
    return found


def modules_of(path: Path) -> dict[str, str]:
    """Return the PyTorch module of each value of a published file, as its artifact has it; empty where none does."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(path.with_name(NODES).read_text(encoding="utf-8"))
        return {name: node["module"] for node in content["nodes"] for name in node["outputs"] if node["module"]}
    return {}


def read_nodes(path: Path) -> list[tuple[str, list[str]]] | None:
    """Return the operators that a nodes.json lists, each with what it gives; None where there is none.

    Raises:
        ArtifactError: It cannot be read.

    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [(str(node["name"]), list(map(str, node["outputs"]))) for node in content["nodes"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", "Export the model again.") from error


def describe_nodes(graph: onnx.GraphProto, modules: Mapping[str, str]) -> str:
    """Return the text of nodes.json: each operator of a file with the PyTorch module that it comes from."""
    nodes = [
        {
            "name": node.name,
            "op_type": node.op_type,
            "outputs": list(node.output),
            "module": next((modules[name] for name in node.output if name in modules), ""),
        }
        for node in graph.node
    ]
    return json.dumps({"schema_version": _SCHEMA_VERSION, "nodes": nodes}, indent=1) + "\n"
