"""What a release of ONNX Runtime reads: by its table, and by opening the file where that release is installed."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...errors import ArtifactError
from ...runtimes.backends.onnx import OnnxBackend, unavailable_reason
from .tables import read_table
from .verdicts import FATAL, Finding, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .graph import Graph, Node

_TABLE = "onnxruntime.json"
_ML = "ai.onnx.ml"
# How ONNX Runtime names the node that it cannot run (core/graph/graph.cc, core/framework/session_state.cc).
_NAMED = re.compile(r"node with name '([^']+)'|In Node, \(\"([^\"]+)\"|in node \(([^)]+)\)")


def check(graph: Graph, release: str) -> Outcome:
    """Return what a release makes of a graph."""
    row = read_table(_TABLE)["releases"][release]
    found = [list(_findings(node, graph, release, row)) for node in graph.nodes]
    whole = list(_whole(graph, release, row))
    failure, note = _opened(graph, release)
    seen = any(finding.verdict in FATAL for findings in (whole, *found) for finding in findings)
    if failure and not seen:
        named = _NAMED.search(failure)
        name = next(filter(None, named.groups()), "") if named else ""
        about = [findings for node, findings in zip(graph.nodes, found, strict=True) if node.name == name] or [whole]
        about[0].append(Finding("not registered", failure))
    nodes = tuple(judge(node, findings) for node, findings in zip(graph.nodes, found, strict=True))
    return Outcome(nodes, tuple(whole), (note,))


def _opened(graph: Graph, release: str) -> tuple[str, str]:
    """Open the file where the installed release is the one that is asked for; return what failed, and what was done."""
    if unavailable_reason() is not None:
        return "", f"onnxruntime {release} is not installed: no session was opened"
    import onnxruntime

    version = str(onnxruntime.__version__)
    if version.split(".")[:2] != release.split("."):
        return "", f"onnxruntime {release} is not installed ({version} is): no session was opened, the table decides"
    try:
        OnnxBackend(graph.path).close()
    except ArtifactError as error:
        return error.message, f"onnxruntime {version} did not open the file"
    return "", f"onnxruntime {version} opened the file"


def _findings(node: Node, graph: Graph, release: str, row: Mapping[str, Any]) -> Iterator[Finding]:
    if (node.domain, node.op_type) in graph.functions:
        yield Finding("unknown", "the file defines it as a function, whose operators were not looked at")
        return
    if node.domain not in row["runs"]:
        reason = f"it has no operators of the domain {node.domain}"
        yield Finding("not registered", reason, "", "operators of ONNX's own")
        return
    opset = graph.opset if not node.domain else dict(graph.opsets).get(node.domain, 0)
    if not opset:
        yield Finding("not registered", f"the file asks for no opset of {node.domain or 'ai.onnx'}")
        return
    if not node.domain and opset > row["opset"]:
        reason = f"opset {opset}: {release} reads up to {row['opset']}"
        yield Finding("not registered", reason, "", f"opset {row['opset']} or older", _source())
        return
    runs, cannot_run = (row[name][node.domain].get(node.op_type, []) for name in ("runs", "cannot_run"))
    version = max((since for since in (*runs, *cannot_run) if since <= opset), default=0)
    if not version:
        yield Finding("not registered", f"ONNX Runtime {release} has no {node.op_type} at opset {opset}")
    elif version in cannot_run:
        yield Finding(
            "not registered", f"ONNX Runtime {release} has no kernel of {node.op_type} version {version} on the CPU"
        )


def _whole(graph: Graph, release: str, row: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is found about the versions of a file."""
    source = _source()
    oldest = row["oldest_opset"]
    if 0 < graph.opset < oldest:
        reason = f"opset {graph.opset}: nothing is promised for opsets before {oldest}"
        yield Finding("experimental", reason, "", f"opset {oldest} or newer", source)
    if graph.model.ir_version > row["ir_version"]:
        reason = f"IR version {graph.model.ir_version}: {release} reads up to {row['ir_version']}"
        yield Finding("not registered", reason, "", f"IR version {row['ir_version']}", source)
    names = Counter(node.name for node in graph.nodes if node.given_name)
    repeated = next((name for name, count in names.items() if count > 1), None)
    if repeated is not None:
        reason = f"several nodes of one graph are called {repeated}: the file is refused"
        yield Finding("not registered", reason, "", "a name of its own for each node")
    learning = dict(graph.opsets).get(_ML, 0)
    if learning > row[_ML]:
        used = any(node.domain == _ML for node in graph.nodes)
        reason = f"opset {learning} of {_ML}: {release} has {row[_ML]}"
        yield Finding("not registered" if used else "experimental", reason, "", f"opset {row[_ML]} or older", source)


def _source() -> str:
    """Return where the versions were read, as ``repository@commit file``."""
    source = read_table(_TABLE)["source"]
    return f"{source['repository']}@{source['commit'][:12]} {source['file']}"
