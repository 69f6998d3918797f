"""nodes.json: the operators of a file and the modules that they come from."""

from __future__ import annotations

import json

from cvport.errors import ArtifactError
from cvport.exporters.graphs.nodes import modules_of, read_nodes
from fuzz.judging import SilentChangeError, Target
from fuzz.mutate import mutate_json
from fuzz.texts import TextFile


def run(data: bytes) -> None:
    """Read the operators, and their modules."""
    path = TextFile("nodes.json").holding(data)
    modules = modules_of(path)
    nodes = read_nodes(path)
    given = [(node["name"], node["outputs"]) for node in json.loads(data)["nodes"]]
    if nodes != given or not all(isinstance(text, str) for pair in modules.items() for text in pair):
        raise SilentChangeError(f"read as {nodes}, {modules}")


def seeds() -> list[bytes]:
    """Two operators."""
    node = {"name": "conv", "op_type": "Conv", "outputs": ["a", "b"], "module": "backbone.stem"}
    content = {"schema_version": 1, "nodes": [node, {**node, "name": "add", "outputs": ["c"], "module": ""}]}
    return [json.dumps(content).encode()]


TARGET = Target(seeds, run, mutate_json, (ArtifactError.exit_code,))
