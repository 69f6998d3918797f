"""The operators of a file and the PyTorch modules that they come from: nodes.json, beside an artifact and not in it."""

from __future__ import annotations

import ast
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import ArtifactError
from ...runtimes.plain_json import read_plain

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
    with suppress(ArtifactError):
        nodes = _read(path.with_name(NODES)) or []
        return {name: node["module"] for node in nodes for name in node["outputs"] if node["module"]}
    return {}


def read_nodes(path: Path) -> list[tuple[str, list[str]]] | None:
    """Return the operators that a nodes.json lists, each with what it gives; None where there is none.

    Raises:
        ArtifactError: It cannot be read.

    """
    nodes = _read(path)
    return None if nodes is None else [(node["name"], node["outputs"]) for node in nodes]


def _read(path: Path) -> list[dict[str, Any]] | None:
    """Return the entries of a nodes.json, each with texts and a list of texts; None where there is none."""
    if not path.exists():
        return None
    try:
        return _checked(read_plain(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", "Export the model again.") from error


def _checked(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a description, else raise a ValueError, KeyError or TypeError."""
    if set(content) != {"schema_version", "nodes"} or repr(content["schema_version"]) != repr(_SCHEMA_VERSION):
        raise ValueError("it is of another schema")
    nodes: list[dict[str, Any]] = content["nodes"]
    for node in nodes:
        texts = [node["name"], node["op_type"], node["module"], *node["outputs"]]
        if not isinstance(node["outputs"], list) or not all(isinstance(text, str) for text in texts):
            raise TypeError("an operator is not described by texts")
    return nodes


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
